"""The strategy that a user chooses: how codes are searched, and where the search starts."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from onnx_evoq.evolve import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
    SearchSettings,
)
from onnx_evoq.setup import check_choices, check_whole

StrategyName = Literal["neuroevolution", "coevolution", "none"]

_DEFAULTS = {
    ("neuroevolution", "reconstruct"): FROM_RECONSTRUCTION,
    ("neuroevolution", "nearest"): FROM_NEAREST,
    ("coevolution", "reconstruct"): TOGETHER_FROM_RECONSTRUCTION,
    ("coevolution", "nearest"): TOGETHER_FROM_NEAREST,
}


@dataclass(frozen=True)
class Strategy:
    """How codes are searched, and where the search starts.

    Attributes:
        name: "neuroevolution" evolves the codes layer by layer; "coevolution" evolves the codes of
            all weights together, the least certain codes first; "none" makes no search.
        init: where the search starts: "reconstruct" for codes that keep the output of each layer,
            computed in closed form; or "nearest" for nearest rounding, as in arXiv 2605.05228.
        population: candidates that survive each generation; None for 4 from a reconstruction and
            32 from nearest rounding. In coevolution, candidates that are drawn in each generation;
            None for 32.
        generations: generations per weight and pass, and of formats before them, at most; None
            for 64. In coevolution, generations of all weights together; None for 1024.
        mutation_rate: probability that a code moves, above 0 and up to 1; None for 3 codes of a
            weight, on average, from a reconstruction, and for 0.02 from nearest rounding. In
            coevolution, the share of all codes that the first group has; None for 0.002 from a
            reconstruction, and for 0.05 from nearest rounding.

    Raises:
        OptionError: a choice is unknown, or a number makes no sense.

    Example:
        >>> Strategy("coevolution", init="nearest", generations=100).searches
        True
    """

    name: StrategyName = "neuroevolution"
    init: Literal["reconstruct", "nearest"] = "reconstruct"
    population: int | None = None
    generations: int | None = None
    mutation_rate: float | None = None

    def __post_init__(self) -> None:
        check_choices(
            strategy=(self.name, ("neuroevolution", "coevolution", "none")),
            init=(self.init, ("reconstruct", "nearest")),
        )
        for name in ("population", "generations"):
            if getattr(self, name) is not None:
                check_whole(**{name: getattr(self, name)})
        self._merged()  # checks the numbers, even where no search uses them

    @property
    def searches(self) -> bool:
        """Whether codes are searched at all."""
        return self.name != "none"

    @property
    def settings(self) -> SearchSettings | None:
        """The settings of the search; None for no search."""
        return self._merged() if self.searches else None

    def _merged(self) -> SearchSettings:
        """The default settings, with the numbers that were given."""
        name = self.name if self.searches else "neuroevolution"
        given: dict[str, Any] = {
            "population": self.population,
            "generations": self.generations,
            "mutation_rate": self.mutation_rate,
        }
        defaults = _DEFAULTS[name, self.init]
        return replace(
            defaults, **{key: value for key, value in given.items() if value is not None}
        )


DEFAULT_STRATEGY = Strategy()
