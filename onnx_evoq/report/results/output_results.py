"""The errors of each output and of its channels, as results."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from onnx_evoq.metrics import Layouts
from onnx_evoq.setup import Score

_ONE_PART = 10  # times the mean power of the channels before it, which a channel may have, or part


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
        """Channels side by side whose powers differ by less than a factor of ten.

        Returns:
            A label for each, as boxes[0-3], and the channels.
        """
        starts = [0]
        for channel in range(1, len(self.power)):
            before = fmean(self.power[starts[-1] : channel])
            if not 1 / _ONE_PART < self.power[channel] / before < _ONE_PART:
                starts.append(channel)
        if len(starts) == 1:
            return [(self.name, slice(0, len(self.power)))]
        parts = []
        for start, end in zip(starts, [*starts[1:], len(self.power)], strict=True):
            channels = str(start) if end == start + 1 else f"{start}-{end - 1}"
            parts.append((f"{self.name}[{channels}]", slice(start, end)))
        return parts

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
