"""How codes evolve, and what came of it."""

from dataclasses import dataclass, replace

from onnx_evoq.errors import OptionError
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.run import Stopped
from onnx_evoq.score import DOUBT

_FEW = 3.0  # moves of a child, on average


@dataclass(frozen=True)
class SearchSettings:
    """How to evolve one weight, or all of them together.

    Attributes:
        population: candidates that stay after each generation. In coevolution, candidates that are
            drawn in each.
        generations: generations of a weight in a pass. In coevolution, of all weights.
        mutation_rate: probability that a code moves; None for a few codes of a weight. In
            coevolution, the share of codes in the first group.
        doubt: as for `Race`.
        together: whether all weights evolve together (coevolution), instead of one after another.
        passes: how often, at most, one weight after another is taken.
        patience: generations without a better candidate after which a weight is left; None for all
            of its generations.

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
        """The mutation rate for a weight of so many codes."""
        return min(1.0, _FEW / codes) if self.mutation_rate is None else self.mutation_rate


# From nearest rounding, as in arXiv 2605.05228. From a reconstruction only small moves help.
FROM_NEAREST = SearchSettings()
FROM_RECONSTRUCTION = SearchSettings(population=4, mutation_rate=None, passes=8, patience=16)
# Coevolution: time usually ends it.
TOGETHER_FROM_NEAREST = SearchSettings(generations=1024, mutation_rate=0.05, together=True)
TOGETHER_FROM_RECONSTRUCTION = replace(TOGETHER_FROM_NEAREST, mutation_rate=0.002)


@dataclass(frozen=True)
class LayerScores:
    """A weight's metric before and after its search, each {"search": .., "heldout": ..}."""

    before: dict[str, float]
    after: dict[str, float]


@dataclass(frozen=True)
class Evolved:
    """The codes that a search found.

    Attributes:
        quantized: codes and grid by weight, complete.
        layers: scores by weight, for those that were searched.
        evaluations: candidates that were scored.
        stopped: why not all of the search was done; None if it was.
        left_out: weights that stay at 8 bits, since the allowed drop asks for it.
        within_max_drop: whether the allowed drop holds, which it may not even at 8 bits.
    """

    quantized: dict[str, QuantizedWeight]
    layers: dict[str, LayerScores]
    evaluations: int
    stopped: Stopped | None
    left_out: tuple[str, ...] = ()
    within_max_drop: bool = True
