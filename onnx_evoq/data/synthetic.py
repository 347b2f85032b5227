"""Draw synthetic inputs of the types and shapes that a model declares.

1. Images (float inputs of four axes) are noise with the spectrum of natural images: the amplitude
   falls with the spatial frequency as 1 / f^1.5. Channels share 90 % of their variance.
2. Other floats are white noise.
3. Indices into a table are uniform over its rows. Other whole numbers and flags are 0 or 1.

Floats have mean 0 and standard deviation 1. With limits, they have the mean in the middle between
the limits, which are two standard deviations away, and are clipped to them.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.data.preprocess import channels_last
from onnx_evoq.data.samples import Samples
from onnx_evoq.errors import DataError, ModelError
from onnx_evoq.signature import TensorSpec

SYNTHETIC_SAMPLES = 256  # by default
IMAGE_SIDE = 128  # pixels, if the model leaves the size of its images open
OTHER_AXIS = 32  # the size of other axes that the model leaves open
_EXPONENT = 1.5
_SHARED = 0.9  # of the variance of channels


def synthetic_samples(
    specs: Sequence[TensorSpec],
    samples: int,
    rng: np.random.Generator,
    limits: tuple[float, float] | None = None,
) -> Samples:
    """Draw samples for a model.

    Args:
        specs: the model's inputs.
        samples: how many.
        rng: draws the values.
        limits: the lowest and highest value of float inputs; None for about -2 to 2.

    Raises:
        ModelError: an input is neither a number nor a flag.
        DataError: an input states no shape.
    """
    inputs = {spec.name: _draw(spec, samples, rng, limits) for spec in specs}
    low, high = limits or (-2, 2)
    note = (
        f"no data were given: scored on {samples} synthetic inputs from about {low:g} to {high:g} "
        "(input_range changes that); a few hundred real samples would do better, and on them the "
        "result may be no better than nearest rounding."
    )
    return Samples(inputs, None, (note,), "synthetic inputs", own=True)


def _draw(
    spec: TensorSpec, samples: int, rng: np.random.Generator, limits: tuple[float, float] | None
) -> Array:
    if spec.shape is None:
        raise DataError(f"input {spec.name!r} states no shape to draw inputs for: give data.")
    if not spec.shape:  # a scalar: one per feed
        shape: tuple[int, ...] = (samples,)
    else:
        shape = (samples, *_sizes(spec))
    if spec.dtype.kind == "b" or spec.dtype.kind in "iu":
        return rng.integers(0, spec.below or 2, shape).astype(spec.dtype)
    if spec.dtype.kind != "f":
        raise ModelError(
            f"input {spec.name!r} holds {spec.dtype}, which cannot be drawn: give data."
        )
    if _is_image(spec):
        noise = natural_noise(shape, channels_last(spec, None), rng)
    else:
        noise = np.asarray(rng.standard_normal(shape), np.float32)
    if limits is not None:
        low, high = limits
        noise = np.clip((low + high) / 2 + noise * (high - low) / 4, low, high)
    return noise.astype(spec.dtype)


def natural_noise(shape: tuple[int, ...], last: bool, rng: np.random.Generator) -> Float32Array:
    """Draw noise with the spectrum of natural images, with mean 0 and standard deviation 1.

    Args:
        shape: (n, c, h, w), or (n, h, w, c) if `last`.
        last: whether channels are the last axis.
        rng: draws the noise.
    """
    n, c, h, w = (shape[0], shape[3], shape[1], shape[2]) if last else shape
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])  # (h, w // 2 + 1)
    lowest = 1 / max(h, w)
    amplitude = (np.maximum(frequency, lowest) ** -_EXPONENT).astype(np.float32)
    # Of these columns an inverse transform takes the half that makes the image real.
    amplitude[:, [0] if w % 2 else [0, -1]] *= np.float32(np.sqrt(2))
    noise = np.empty((n, c, h, w), np.float32)
    spectrum = (*frequency.shape, 2)  # real and imaginary parts
    for image in noise:  # (c, h, w): one after the other, which takes little memory
        common = rng.standard_normal((1, *spectrum), np.float32)
        own = rng.standard_normal((c, *spectrum), np.float32)
        white = np.float32(np.sqrt(_SHARED)) * common + np.float32(np.sqrt(1 - _SHARED)) * own
        image[:] = np.fft.irfft2(white.view(np.complex64)[..., 0] * amplitude, s=(h, w))
    noise -= noise.mean(dtype=np.float64).astype(np.float32)
    noise /= np.float32(max(float(noise.std(dtype=np.float64)), 1e-12))
    return noise.transpose(0, 2, 3, 1) if last else noise


def _is_image(spec: TensorSpec) -> bool:
    return spec.shape is not None and len(spec.shape) == 4


def _sizes(spec: TensorSpec) -> list[int]:
    """The sizes of all axes behind the first, with a default for those that are left open."""
    assert spec.shape is not None
    axes = list(spec.shape[1:])
    if _is_image(spec):
        channel = 2 if channels_last(spec, None) else 0
        return [size or (3 if i == channel else IMAGE_SIDE) for i, size in enumerate(axes)]
    return [size or OTHER_AXIS for size in axes]
