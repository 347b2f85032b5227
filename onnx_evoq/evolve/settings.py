"""The settings of a search over codes, and its result."""

from dataclasses import dataclass, replace

from onnx_evoq.errors import OptionError
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.run import Stopped
from onnx_evoq.score import DOUBT

_MOVES = 3.0  # codes of a weight that a child moves, on average, where no rate is given


@dataclass(frozen=True)
class SearchSettings:
    """How codes evolve: one weight after another, or all weights together (coevolution).

    Attributes:
        population: candidates that survive each generation. In coevolution, candidates that are
            drawn in each.
        generations: generations of a weight in one pass. In coevolution, of all weights together.
            The formats before them have no more.
        mutation_rate: probability that a code moves; None for 3 codes of a weight, on average. In
            coevolution, the share of all codes that the first group has.
        doubt: as for `Race`.
        together: whether all weights evolve together (coevolution).
        passes: how often each weight evolves, at most. Has no effect in coevolution.
        patience: generations without a better candidate after which the search of a weight ends;
            None for no such limit. Has no effect in coevolution.

    Raises:
        OptionError: a number makes no sense.
    """

    population: int = 32
    generations: int = 64
    mutation_rate: float | None = 0.02
    doubt: float = DOUBT
    together: bool = False
    passes: int = 1
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.population < 1:
            raise OptionError(f"population {self.population} is empty: choose 1 or more.")
        if self.together and self.population < 2:
            raise OptionError("population 1 has nothing to compare: choose 2 or more.")
        if self.generations < 0:
            raise OptionError(f"generations {self.generations} is negative: choose 0 or more.")
        if self.mutation_rate is not None and not 0 < self.mutation_rate <= 1:
            raise OptionError(
                f"mutation_rate {self.mutation_rate} is no probability: choose 0.02, say."
            )
        if not self.doubt >= 0:
            raise OptionError(f"doubt {self.doubt} is negative: choose 0 or more.")

    def rate_for(self, codes: int) -> float:
        """The mutation rate for a weight with this number of codes."""
        return min(1.0, _MOVES / codes) if self.mutation_rate is None else self.mutation_rate


# From nearest rounding: the settings of arXiv 2605.05228.
FROM_NEAREST = SearchSettings()
# From a reconstruction, only small moves lower the error further.
FROM_RECONSTRUCTION = SearchSettings(population=4, mutation_rate=None, passes=8, patience=16)
# Coevolution: the time budget usually ends it before its last generation.
TOGETHER_FROM_NEAREST = SearchSettings(generations=1024, mutation_rate=0.05, together=True)
TOGETHER_FROM_RECONSTRUCTION = replace(TOGETHER_FROM_NEAREST, mutation_rate=0.002)


@dataclass(frozen=True)
class LayerScores:
    """The metric of the model before and after the search of one weight.

    Attributes:
        before: {"search": value, "heldout": value}.
        after: the same after the search.
    """

    before: dict[str, float]
    after: dict[str, float]


@dataclass(frozen=True)
class Evolved:
    """The codes that a search over codes found.

    Attributes:
        quantized: codes and grid by weight, of all weights.
        layers: scores by weight, of the weights that were searched.
        evaluations: candidates that were scored.
        stopped: why the search ended early; None if it did not.
        left_out: weights that stay at 8 bits to keep within the allowed drop.
        within_max_drop: whether the model keeps within the allowed drop; it may not do so even
            with all weights at 8 bits.
        too_large: weights that were not searched, since candidates of them take too much memory.
    """

    quantized: dict[str, QuantizedWeight]
    layers: dict[str, LayerScores]
    evaluations: int
    stopped: Stopped | None
    left_out: tuple[str, ...] = ()
    within_max_drop: bool = True
    too_large: tuple[str, ...] = ()
