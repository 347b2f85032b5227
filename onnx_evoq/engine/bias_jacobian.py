"""The Jacobian of a model's outputs in the biases of a layer, by shifting them one by one."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.engine.sketch import Sketch
from onnx_evoq.run import Deadline
from onnx_evoq.score import Evaluator

_SHIFT = 0.1  # of the deviation of a layer's output
_SMALLEST = 1e-6  # deviation


def jacobian_of_bias(
    evaluator: Evaluator,
    name: str,
    bias: Float32Array,
    spread: Float32Array,
    sketch: Sketch,
    deadline: Deadline,
) -> tuple[Float64Array, Float64Array] | None:
    """J, (samples, channels, outputs), and the errors of the outputs, (samples, outputs).

    None if the deadline would pass before the end.

    Args:
        evaluator: scores values of a bias.
        name: the bias.
        bias: its values as they are.
        spread: (channels,) the deviation of each channel of the layer's output.
        sketch: of the outputs.
        deadline: when to have stopped.
    """
    shifts = _SHIFT * np.maximum(spread.astype(np.float64), _SMALLEST)
    candidates = [bias, *shifted(bias, shifts)]
    rows: list[Float64Array] = []
    began = time.monotonic()
    for found in evaluator.answers(({name: values} for values in candidates), sketch):
        rows.append(found)
        each = (time.monotonic() - began) / len(rows)
        if len(rows) < len(candidates) and each * (len(candidates) - len(rows)) > deadline.left:
            return None
    jacobian = np.stack(
        [(moved - rows[0]) / shift for moved, shift in zip(rows[1:], shifts, strict=True)], axis=1
    )
    return jacobian, rows[0] - sketch.reference


def shifted(bias: Float32Array, shifts: NDArray[Any]) -> Iterator[Float32Array]:
    """`bias` with one channel shifted, channel by channel."""
    for channel, shift in enumerate(shifts):
        changed = bias.copy()
        changed.flat[channel] += np.float32(shift)
        yield changed
