"""How far a model's outputs lie from those of the reference model. No labels needed.

Every function takes the outputs and the reference outputs, name -> (samples, ...), and returns one
number per sample, (samples,); a metric's value is their mean. Several outputs count alike.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[np.generic]]
PerSample = NDArray[np.float64]

_TINY = 1e-12


def mse(outputs: Outputs, reference: Outputs) -> PerSample:
    """Mean squared error: ``mean((y - r)^2)``."""
    return _over_outputs(outputs, reference, lambda y, r: np.asarray(np.mean((y - r) ** 2, axis=1)))


def sqnr(outputs: Outputs, reference: Outputs) -> PerSample:
    """Signal to quantization noise in dB: ``10 log10(sum r^2 / sum (y - r)^2)``, -120 to 120."""

    def decibels(y: PerSample, r: PerSample) -> PerSample:
        noise, signal = np.sum((y - r) ** 2, axis=1), np.sum(r**2, axis=1)
        # A sample without noise has the most that is stated, even where it has no signal either.
        ratio = np.divide(signal, noise, out=np.full_like(signal, np.inf), where=noise > 0)
        return np.asarray(10 * np.log10(ratio.clip(1e-12, 1e12)))

    return _over_outputs(outputs, reference, decibels)


def cosine(outputs: Outputs, reference: Outputs) -> PerSample:
    """Cosine similarity: ``y.r / (|y| |r|)``."""

    def similarity(y: PerSample, r: PerSample) -> PerSample:
        lengths = np.linalg.norm(y, axis=1) * np.linalg.norm(r, axis=1)
        both_zero = ~y.any(axis=1) & ~r.any(axis=1)
        return np.where(both_zero, 1.0, np.sum(y * r, axis=1) / np.maximum(lengths, _TINY))

    return _over_outputs(outputs, reference, similarity)


def kl(outputs: Outputs, reference: Outputs) -> PerSample:
    """Divergence ``sum p log(p / q)`` of the class probabilities q from the reference's p.

    Outputs that are probabilities already are taken as they are, others go through a softmax; one
    with a single class is taken for a Bernoulli variable.
    """
    return np.asarray(
        np.mean([_kl_of_one(outputs[n], reference[n]) for n in _float_names(reference)], axis=0)
    )


def agreement(outputs: Outputs, reference: Outputs) -> PerSample:
    """Share of the answers (largest class, at each position) that are the reference's."""
    shares = []
    for name in _float_names(reference):
        y, r = _classes_last(outputs[name]), _classes_last(reference[name])
        if r.shape[-1] == 1:
            middle = 0.5 if is_probability(r) else 0.0
            same = (y[..., 0] > middle) == (r[..., 0] > middle)
        else:
            same = y.argmax(axis=-1) == r.argmax(axis=-1)
        shares.append(same.reshape(len(same), -1).mean(axis=1))
    return np.asarray(np.mean(shares, axis=0))


def largest_difference(outputs: Outputs, reference: Outputs) -> float:
    """``max|y - r| / max|r|``, the larger of the outputs."""
    worst = 0.0
    for name, expected in reference.items():
        y, r = _rows(outputs[name]), _rows(expected)
        worst = max(
            worst, float(np.abs(y - r).max(initial=0) / max(np.abs(r).max(initial=0), _TINY))
        )
    return worst


def _rows(values: NDArray[np.generic]) -> PerSample:
    return values.reshape(len(values), -1).astype(np.float64)  # (samples, values)


def _float_names(outputs: Outputs) -> list[str]:
    """Outputs of floats; where there is none (a model that ends in ArgMax), all of them."""
    floats = [name for name, value in outputs.items() if np.issubdtype(value.dtype, np.floating)]
    return floats or list(outputs)


def _over_outputs(
    outputs: Outputs, reference: Outputs, measure: Callable[[PerSample, PerSample], PerSample]
) -> PerSample:
    names = _float_names(reference)
    measured = [measure(_rows(outputs[n]), _rows(reference[n])) for n in names]
    return np.asarray(np.mean(measured, axis=0))


def _classes_last(values: NDArray[np.generic]) -> PerSample:
    """(samples, positions.., classes): classes are axis 1 of images (n, c, h, w), else the last."""
    y = values.astype(np.float64)
    if y.ndim == 4 and y.shape[1] > 1:
        y = np.moveaxis(y, 1, -1)
    return y.reshape(len(y), -1) if y.ndim == 1 else y


def is_probability(values: PerSample) -> bool:
    """Whether all of (.., classes) are probabilities: from 0 to 1, with a sum of 1 over classes."""
    inside = bool(np.all((values >= 0) & (values <= 1)))
    if values.shape[-1] == 1:
        return inside
    return inside and bool(np.allclose(values.sum(axis=-1), 1, atol=1e-3))


def log_probabilities(values: PerSample, given: bool) -> PerSample:
    """Logarithms of class probabilities, (.., classes), or (.., 2) for a single class.

    Args:
        values: (.., classes): probabilities, or what a softmax makes some of.
        given: whether they are probabilities already.
    """
    if values.shape[-1] == 1:  # (.., 1) -> (.., 2)
        logit = (
            values
            if not given
            else np.log(values.clip(_TINY, 1)) - np.log1p(-values.clip(0, 1 - _TINY))
        )
        values, given = np.concatenate([np.zeros_like(logit), logit], axis=-1), False
    if given:
        return np.asarray(np.log(values.clip(_TINY)))
    shifted = values - values.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _kl_of_one(output: NDArray[np.generic], reference: NDArray[np.generic]) -> PerSample:
    y, r = _classes_last(output), _classes_last(reference)
    given = is_probability(r)
    log_q, log_p = log_probabilities(y, given), log_probabilities(r, given)
    divergence = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    return np.asarray(divergence.reshape(len(divergence), -1).mean(axis=1))
