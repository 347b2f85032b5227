"""Draw synthetic inputs."""

import math
from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.data.synthetic.noise import natural_noise
from onnx_evoq.data.synthetic.plan import Chosen, InputPlan, Noise, Positions, Whole

_IMAGE_AXES = 3  # of a sample
_MOST_VALUES = 2**40  # of one input: no memory holds more


def draw(plans: Sequence[InputPlan], samples: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw the inputs of a model.

    Args:
        plans: the inputs, in the order in which they are drawn.
        samples: how many samples.
        rng: draws the values.

    Returns:
        An array (samples, ...) by the name of each input.
    """
    return {plan.name: _values(plan, samples, rng) for plan in plans}


def _values(plan: InputPlan, samples: int, rng: np.random.Generator) -> Array:
    shape, values = (samples, *plan.shape), plan.values
    if math.prod(shape) > _MOST_VALUES:
        raise MemoryError(f"drawing {samples} inputs of shape {list(plan.shape)}")
    if isinstance(values, Whole):
        return rng.integers(values.low, values.high, shape).astype(plan.dtype)
    if isinstance(values, Chosen):
        if len(values.values) == 1:
            return np.full(shape, values.values[0], plan.dtype)
        return rng.choice(np.asarray(values.values), shape).astype(plan.dtype)
    if isinstance(values, Positions):
        return np.broadcast_to(np.arange(shape[-1]), shape).astype(plan.dtype)
    noise = _noise(values, shape, rng)
    for first, amplitude in enumerate(values.amplitudes):
        noise[first :: len(values.amplitudes)] *= np.float32(amplitude)
    noise = _scaled(noise, values)
    return (noise if plan.dtype.kind == "f" else np.rint(noise)).astype(plan.dtype)


def _noise(values: Noise, shape: tuple[int, ...], rng: np.random.Generator) -> Float32Array:
    """Noise of mean 0 and deviation 1."""
    if values.image and 0 not in shape:
        # (n, c, h, w); samples that are whole feeds hold several images
        images = (math.prod(shape[:-_IMAGE_AXES]), *shape[-_IMAGE_AXES:])
        return natural_noise(images, values.channel_axis == -1, rng).reshape(shape)
    noise = rng.standard_normal(shape)
    if values.walks and len(shape) > 1:  # the sum of n numbers has a deviation of sqrt(n)
        noise = noise.cumsum(axis=-1) / np.sqrt(np.arange(1, shape[-1] + 1))
    return np.asarray(noise, np.float32)


def _scaled(noise: Float32Array, values: Noise) -> Float32Array:
    if values.is_standard:
        return noise
    mean, deviation = (
        _along_channels(numbers, values.channel_axis) for numbers in (values.mean, values.deviation)
    )
    return np.clip(mean + noise * deviation, values.low, values.high)


def _along_channels(numbers: tuple[float, ...], channel_axis: int) -> Float32Array:
    """Numbers in a shape that meets the channels of an array."""
    behind = -1 - channel_axis  # axes behind the channels
    return np.asarray(numbers, np.float32).reshape(-1, *[1] * behind)
