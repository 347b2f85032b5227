"""Noise with the spectrum of natural images.

The amplitude falls with the spatial frequency as 1 / f^1.5, and channels share 90 % of their
variance.
"""

import numpy as np

from onnx_evoq.array_types import Float32Array

_EXPONENT = 1.5
_SHARED = 0.9  # of the variance of channels


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
