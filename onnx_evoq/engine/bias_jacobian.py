"""The Jacobian of a model's outputs in the biases of a layer, by finite differences."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.engine.sketch import Sketch
from onnx_evoq.run import Deadline
from onnx_evoq.score import Evaluator

_SHIFT = 0.1  # as a share of the standard deviation of the layer's output
_LEAST_DEVIATION = 1e-6


def jacobian_of_bias(
    evaluator: Evaluator,
    name: str,
    bias: Float32Array,
    spread: Float32Array,
    sketch: Sketch,
    deadline: Deadline,
) -> tuple[Float64Array, Float64Array] | None:
    """Shift the bias of one channel after the other, and run the model with each shift.

    Args:
        evaluator: runs the model with other values of the bias.
        name: the bias.
        bias: its values, one per channel.
        spread: (channels,) the standard deviation of each channel of the layer's output.
        sketch: maps the model's outputs to a few numbers per sample.
        deadline: the time by which all runs must be done.

    Returns:
        The Jacobian J of the sketched outputs, (samples, channels, outputs), and their errors,
        (samples, outputs). None as soon as the runs that are still to do would take longer than
        the time left, at the mean time of those that are done.
    """
    shifts = _SHIFT * np.maximum(spread.astype(np.float64), _LEAST_DEVIATION)
    candidates = [bias, *shifted(bias, shifts)]
    outputs: list[Float64Array] = []
    began, before = time.monotonic(), evaluator.evaluations
    for sketched in evaluator.answers(({name: values} for values in candidates), sketch):
        outputs.append(sketched)
        done = evaluator.evaluations - before  # more than outputs, where several are done at once
        seconds_per_run = (time.monotonic() - began) / done
        runs_to_do = len(candidates) - done
        if runs_to_do and seconds_per_run * runs_to_do > deadline.left:
            return None
    unshifted, *after_shifts = outputs
    jacobian = np.stack(
        [(after - unshifted) / shift for after, shift in zip(after_shifts, shifts, strict=True)],
        axis=1,
    )
    return jacobian, unshifted - sketch.reference


def shifted(bias: Float32Array, shifts: NDArray[Any]) -> Iterator[Float32Array]:
    """Copies of `bias`, each with the value of another channel shifted."""
    for channel, shift in enumerate(shifts):
        changed = bias.copy()
        changed.flat[channel] += np.float32(shift)
        yield changed
