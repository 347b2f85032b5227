"""How much work the reconstruction of a layer is."""

from dataclasses import dataclass

from onnx_evoq.quantize.grid import MANY_COLUMNS


@dataclass(frozen=True)
class Effort:
    """How much work the reconstruction of a layer is.

    Attributes:
        positions: the most positions of all samples together that moments are gathered from.
        activation_rounds: how often targets follow from the layer's own output, where an activation
            hides errors; 0 leaves the activation out.
        compared_columns: the most columns of a layer whose damping of W* is the best of several.
            With more, W* has a usual one, or is W where positions are few.
        descends: whether codes are improved after GPTQ rounding, and steps are compared so, too.
        restarts: copies of each row that are drawn as other starts of the search for codes; 0 for
            none. Large layers have none in any case.
    """

    positions: int = 32_768
    activation_rounds: int = 2
    compared_columns: float = float("inf")
    descends: bool = True
    restarts: int = 25


FULL = Effort()
SHORT = Effort(12_288, activation_rounds=1, compared_columns=MANY_COLUMNS, restarts=0)
# GPTQ rounding (rounding with feedback) and the bias, for the best float weight.
FEEDBACK = Effort(
    4_096, activation_rounds=0, compared_columns=MANY_COLUMNS, descends=False, restarts=0
)
EFFORTS = (FULL, SHORT, FEEDBACK)  # from the best to the fastest
