"""A sketch of a model's outputs: a few numbers per sample.

Outputs of many values are projected on a few random directions, which keeps lengths and angles up
to a small error (Johnson and Lindenstrauss, 1984).
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float32Array, Float64Array
from onnx_evoq.setup import ScoringSet

_DIRECTIONS = 32  # numbers per sample; outputs of fewer values are not projected
_LEAST_POWER = 1e-30


def float_outputs(scoring: ScoringSet) -> list[str]:
    """The names of the outputs that hold floats, whose errors are differences of numbers."""
    parts: Sequence[Arrays] = scoring.criterion.reference or ()
    return [name for name, values in parts[0].items() if values.dtype.kind == "f"]


class Sketch:
    """Maps the outputs of each sample to a few numbers, and keeps the distances between outputs.

    All outputs are divided by the square root of their power (`Criterion.powers`) and of their
    size, so that each output counts the same, and so does each channel where the metric tells
    channels apart.

    Attributes:
        size: how many numbers there are per sample.
        reference: (samples, size), the sketch of the float model's outputs.

    Args:
        scoring: the samples with the float model's outputs.
        rng: draws the directions.
    """

    def __init__(self, scoring: ScoringSet, rng: np.random.Generator) -> None:
        parts: Sequence[Arrays] = scoring.criterion.reference or ()
        self._names = float_outputs(scoring)
        powers = scoring.criterion.powers
        self._powers = {name: powers[name] for name in self._names}
        # Outputs of different sizes have directions of their own: only errors of one sample are
        # compared with each other.
        widths = dict.fromkeys(self._width(part) for part in parts)
        self.size = min(_DIRECTIONS, max(widths))
        self._directions: dict[int, Float32Array] = {}
        for width in widths:
            if width > _DIRECTIONS:
                signs = rng.choice(np.array([-1, 1], np.float32), (width, _DIRECTIONS))
                self._directions[width] = np.asarray(signs / np.sqrt(_DIRECTIONS), np.float32)
        self.reference = np.concatenate([self(part) for part in parts])

    def __call__(self, outputs: Arrays) -> Float64Array:
        """Sketch the outputs of a batch: (count, size) from arrays (count, ...)."""
        rows = [
            (np.asarray(values, np.float32) / self._divisor(name, values)).reshape(len(values), -1)
            for name, values in ((name, outputs[name]) for name in self._names)
        ]
        flat = np.concatenate(rows, axis=1)  # (count, width)
        width = flat.shape[1]
        if width in self._directions:
            flat = flat @ self._directions[width]
        elif width < self.size:
            flat = np.pad(flat, ((0, 0), (0, self.size - width)))
        return np.asarray(flat, np.float64)

    def _divisor(self, name: str, values: Array) -> Float32Array:
        """What the values of an output are divided by, to be broadcast."""
        power = np.maximum(self._powers[name] * values[0].size, _LEAST_POWER)
        return np.asarray(np.sqrt(power), np.float32)

    def _width(self, outputs: Arrays) -> int:
        return sum(outputs[name][0].size for name in self._names)
