"""What a synthetic input holds: its shape, and how its values are drawn."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

NO_DATA = "no data were given"  # begins the note on synthetic inputs

_CONTRASTS = (1.0, 2.0)
_DECADES = (1.0, 0.1, 0.01, 0.001)
_HALF_DECADES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


@dataclass(frozen=True)
class Noise:
    """Numbers around a mean: ``clip(mean + deviation * z, low, high)`` with z of deviation 1.

    Attributes:
        mean: of all channels, or one per channel.
        deviation: of all channels, or one per channel.
        low: the lowest value.
        high: the highest value.
        image: whether z has the spectrum of natural images; else it is white.
        channel_axis: the axis of the channels, counted from the last one, which is -1.
        amplitudes: factors of z, of the first sample, the second and so on, and then from the first
            again.
        walks: whether white noise is added up along the last axis, which leaves its deviation.
    """

    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    low: float = -np.inf
    high: float = np.inf
    image: bool = False
    channel_axis: int = -1
    amplitudes: tuple[float, ...] = (1.0,)
    walks: bool = False

    @property
    def varied(self) -> "Noise":
        """The same with samples of unlike amplitude, since one amplitude fits few real samples.

        Photographs differ in contrast: every other image has twice the contrast. Of other numbers
        without a range nothing is known, not even their scale: it comes from four decades.
        """
        if self.image:
            return replace(self, amplitudes=_CONTRASTS)
        return replace(self, amplitudes=_DECADES) if self.is_standard else self

    @property
    def otherwise(self) -> list["Noise"]:
        """The same at seven amplitudes, white and as a random walk; itself alone for images."""
        if self.image:
            return [self]
        return [
            replace(self, amplitudes=(amplitude,), walks=walks)
            for walks in (False, True)
            for amplitude in _HALF_DECADES
        ]

    @property
    def is_standard(self) -> bool:
        """Whether the mean is 0, the deviation 1, and there are no limits."""
        bare = (self.mean, self.deviation) == ((0,), (1,))
        return bare and bool(np.isinf([self.low, self.high]).all())

    def within(self, low: float, high: float) -> "Noise":
        """The same between two limits, with the mean in the middle.

        The limits are two standard deviations away.
        """
        mean, deviation = ((low + high) / 2,), ((high - low) / 4,)
        return replace(self, mean=mean, deviation=deviation, low=low, high=high)


@dataclass(frozen=True)
class Whole:
    """Whole numbers, each as likely as the others, from `low` to below `high`."""

    low: int
    high: int


@dataclass(frozen=True)
class Chosen:
    """One of these values, each as likely as the others; one alone is a constant."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Positions:
    """0, 1, 2 and so on along the last axis."""


Values: TypeAlias = Noise | Whole | Chosen | Positions


@dataclass(frozen=True)
class InputPlan:
    """How an input of a model is drawn.

    Attributes:
        name: the name of the input.
        dtype: its type.
        shape: the sizes of all axes of a sample.
        values: how its values are drawn.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    values: Values

    @property
    def varied(self) -> "InputPlan":
        """The same, in which samples of noise differ in amplitude (`Noise.varied`)."""
        if not isinstance(self.values, Noise):
            return self
        return replace(self, values=self.values.varied)

    @property
    def otherwise(self) -> list["InputPlan"]:
        """The same for each way of drawing noise (`Noise.otherwise`)."""
        if not isinstance(self.values, Noise):
            return [self]
        return [replace(self, values=values) for values in self.values.otherwise]
