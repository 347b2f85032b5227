"""What the work on all variants of a layer depends on."""

from dataclasses import dataclass, replace

from onnx_evoq.mixed_precision.search_space import WIDTHS
from onnx_evoq.quantize import Effort
from onnx_evoq.reconstruct import LayerSize

_DESCENT = 10  # times the work of GPTQ rounding
_STEP_ROWS = 2 * 64  # rows at all candidates for a step
_SECONDS_PER_PRODUCT = 3e-11
_SECONDS_PER_VALUE = {True: 5e-7, False: 1e-7}  # of the weight, beside products; with descent
_PRODUCTS_PER_VARIANT = 2e7  # of work that does not depend on its size


@dataclass(frozen=True)
class VariantSize(LayerSize):
    """What the work on all variants of a layer depends on.

    Attributes:
        splits: how many shares of its channels are split.
        granularities: how many granularities it has.
    """

    splits: int = 1
    granularities: int = 1

    def seconds(self, effort: Effort) -> float:
        """About how many seconds the variants of the layer take, with its samples."""
        plain = replace(effort, activation_rounds=0, compared_columns=0, restarts=0)
        splits = self.splits if effort.descends else 1
        of_variants = splits * self.granularities * self.seconds_of_way(effort)
        return super().seconds(plain) + of_variants

    def seconds_of_way(self, effort: Effort) -> float:
        """About how many seconds one granularity and split share take, at all widths."""
        g, r, c = self.groups, self.rows, self.columns
        rows = min(r, _STEP_ROWS) + r * (1 + _DESCENT * effort.descends)
        each = g * rows * c**2 + _PRODUCTS_PER_VARIANT
        beside = len(WIDTHS) * _SECONDS_PER_VALUE[effort.descends] * g * r * c
        return _SECONDS_PER_PRODUCT * (g * c**3 + len(WIDTHS) * each) + beside
