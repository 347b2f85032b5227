"""The errors of each output and of its channels, as results."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from statistics import fmean
from typing import Any

from onnx_evoq.metrics import Layouts
from onnx_evoq.setup import Score

_MOST_PARTS = 4  # of an output


@dataclass(frozen=True)
class OutputResult:
    """The errors of one output.

    Attributes:
        name: its name.
        axis: the axis of channels of unlike power, counted from the last; None if all are alike.
        power: of each channel, by which its squared error is divided; one number if all are alike.
        errors: for each model that is compared with the float model, by its name, the mean squared
            error of each channel as a share of its power; one number if channels are alike.
        depends_on_weights: whether other weights change this output with these inputs.
    """

    name: str
    axis: int | None
    power: tuple[float, ...]
    errors: Mapping[str, tuple[float, ...]]
    depends_on_weights: bool = True

    def error(self, model: str) -> float:
        """The mean error of all channels of a model."""
        return fmean(self.errors[model])

    def parts(self) -> list[tuple[str, slice]]:
        """Channels side by side, cut where their powers differ most, by a factor of ten or more.

        Returns:
            A label for each, as boxes[0-3], and the channels; four at most.
        """
        logs = [log10(power) for power in self.power]
        steps = [(abs(after - before), k) for k, (before, after) in enumerate(pairwise(logs), 1)]
        largest = sorted((step for step in steps if step[0] >= 1), key=lambda step: -step[0])
        cuts = sorted(k for _, k in largest[: _MOST_PARTS - 1])
        if not cuts:
            return [(self.name, slice(0, len(self.power)))]
        return [
            (f"{self.name}[{a if b == a + 1 else f'{a}-{b - 1}'}]", slice(a, b))
            for a, b in pairwise([0, *cuts, len(self.power)])
        ]

    def to_dict(self) -> dict[str, Any]:
        """All but the name as plain values for JSON."""
        several = len(self.power) > 1
        return {
            "channel_axis": self.axis,
            "power": list(self.power),
            "error": {model: self.error(model) for model in self.errors},
            **({"channel_errors": {m: list(e) for m, e in self.errors.items()}} if several else {}),
            "depends_on_weights": self.depends_on_weights,
        }


def output_results(
    errors: Mapping[str, Mapping[str, tuple[float, ...]]],
    layouts: Layouts,
    unmoved: Collection[str] = (),
) -> tuple[OutputResult, ...]:
    """The errors of each output of floats, in the model's order.

    Args:
        errors: by model and by output.
        layouts: of the outputs.
        unmoved: the outputs that do not depend on the weights with these inputs.
    """
    first = next(iter(errors.values()))
    return tuple(
        OutputResult(
            name,
            layouts[name].channels,
            tuple(layouts[name].power.tolist()),
            {model: each[name] for model, each in errors.items()},
            name not in unmoved,
        )
        for name in first
    )


def errors_of(scores: Mapping[str, Score]) -> dict[str, Mapping[str, tuple[float, ...]]]:
    """The errors of each model beside the float model, by its name."""
    return {name: score.outputs for name, score in scores.items() if name != "reference"}
