"""Metrics that compare a model's outputs with those of the float model. They need no labels.

Every metric takes the outputs y and the reference outputs r, name -> (samples, ...), and their
layouts, which only `channel_nmse`, `kl` and `agreement` read. It returns one number per sample,
(samples,); the value of the metric is their mean.

A model with several outputs has the mean over its outputs. Only outputs of floats count; where
there are none, the error metrics use outputs of whole numbers, and `agreement` compares outputs of
any type for equality. An output that is NaN never scores better than a number does.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Float64Array
from onnx_evoq.metrics.class_axis import classes_last
from onnx_evoq.metrics.output_layout import Layouts, OutputLayout

Outputs = Mapping[str, Array]
PerSample = Float64Array

_TINY = 1e-12


def mse(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Mean squared error: ``mean((y - r)^2)``."""
    return _over_outputs(outputs, reference, lambda y, r: _means((y - r) ** 2))


def sqnr(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Signal to quantization noise in dB: ``10 log10(sum r^2 / sum (y - r)^2)``, -120 to 120."""

    def decibels(y: PerSample, r: PerSample) -> PerSample:
        noise, signal = np.sum((y - r) ** 2, axis=1), np.sum(r**2, axis=1)
        # A sample without noise has the largest value, even where it has no signal either.
        noisy = ~(noise == 0)  # NaN is noise
        ratio = np.divide(signal, noise, out=np.full_like(signal, np.inf), where=noisy)
        return np.asarray(10 * np.log10(ratio.clip(1e-12, 1e12)))

    return _over_outputs(outputs, reference, decibels)


def cosine(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Cosine similarity: ``y.r / (|y| |r|)``, and 1 where both are zero."""

    def similarity(y: PerSample, r: PerSample) -> PerSample:
        lengths = np.linalg.norm(y, axis=1) * np.linalg.norm(r, axis=1)
        both_zero = ~y.any(axis=1) & ~r.any(axis=1)
        return np.where(both_zero, 1.0, np.sum(y * r, axis=1) / np.maximum(lengths, _TINY))

    return _over_outputs(outputs, reference, similarity)


def nmse(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Normalized mean squared error: ``sum (y - r)^2 / sum r^2``."""

    def normalized(y: PerSample, r: PerSample) -> PerSample:
        return np.asarray(np.sum((y - r) ** 2, axis=1) / np.maximum(np.sum(r**2, axis=1), _TINY))

    return _over_outputs(outputs, reference, normalized)


def channel_nmse(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Normalized mean squared error by channel: the mean over channels c of ``mse_c / power_c``.

    The power of a channel is that of all reference outputs (`channel_power`), so that small numbers
    count as much as large ones. If an output's channels are alike, they have one power.
    """
    errors = []
    for name in _numbers(reference):
        y, r = (each[name].astype(np.float64) for each in (outputs, reference))
        errors.append(_means(np.square(y - r) / layouts[name].power_of_values))
    return np.mean(errors, axis=0) if errors else np.full(_samples(reference), np.nan)


def kl(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Kullback-Leibler divergence ``sum p log(p / q)`` of class probabilities.

    The model's outputs give q, and the reference outputs give p. Outputs that are no probabilities
    go through a softmax. An output with a single class is the probability of a Bernoulli variable,
    or its logit. The value is NaN where no output is of floats.
    """
    names = _floats(reference)
    if not names:
        return np.full(_samples(reference), np.nan)
    divergences = []
    for name in names:
        axis, are_probabilities = layouts[name].classes, layouts[name].probabilities
        log_q, log_p = (
            log_probabilities(classes_last(each[name], axis), are_probabilities)
            for each in (outputs, reference)
        )
        divergence = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)  # (samples, positions..)
        divergences.append(_means(divergence))
    return np.asarray(np.mean(divergences, axis=0))


def agreement(outputs: Outputs, reference: Outputs, layouts: Layouts) -> PerSample:
    """Share of positions at which the largest class is that of the reference outputs.

    Of equal scores, the class with the lower number is the largest, on both sides. A single score
    is compared with the middle: 1/2 for a probability, 0 for a logit. NaN agrees with nothing.
    """
    shares = []
    for name in _floats(reference) or list(reference):
        same = _same_class(outputs[name], reference[name], layouts.get(name))
        shares.append(_means(same, of_none=1.0))
    return np.asarray(np.mean(shares, axis=0))


def _same_class(output: Array, reference: Array, layout: OutputLayout | None) -> NDArray[np.bool_]:
    """Where two outputs have the same largest class, (samples, positions..); never for NaN."""
    if reference.dtype.kind != "f" or layout is None:
        return np.asarray(output == reference)
    y, r = (classes_last(each, layout.classes) for each in (output, reference))
    if r.shape[-1] == 1:
        middle = 0.5 if layout.probabilities else 0.0
        same = (y[..., 0] > middle) == (r[..., 0] > middle)
    else:
        same = y.argmax(axis=-1) == r.argmax(axis=-1)
    return np.asarray(same & ~np.isnan(y).any(axis=-1))  # argmax takes NaN for the largest


def largest_difference(outputs: Outputs, reference: Outputs) -> float:
    """``max|y - r| / max|r|`` of the output where it is largest; NaN where an output holds NaN.

    For outputs that are not of floats, it is the share of values that differ.
    """
    differences = [0.0]
    for name, expected in reference.items():
        if expected.dtype.kind != "f":
            differences.append(float(np.mean(outputs[name] != expected)) if expected.size else 0.0)
            continue
        y, r = _rows(outputs[name]), _rows(expected)
        largest = np.abs(r).max(initial=0)
        differences.append(np.abs(y - r).max(initial=0) / (largest if largest > 0 else 1.0))
    return float(np.max(differences))  # unlike max(), np.max passes NaN on


def _rows(values: Array) -> PerSample:
    return values.reshape(len(values), -1).astype(np.float64)  # (samples, values)


def _floats(outputs: Outputs) -> list[str]:
    return [name for name, value in outputs.items() if value.dtype.kind == "f"]


def _numbers(outputs: Outputs) -> list[str]:
    """The names of the outputs of floats, or of whole numbers where none is of floats."""
    return _floats(outputs) or [n for n, v in outputs.items() if v.dtype.kind in "biu"]


def _samples(outputs: Outputs) -> int:
    return len(next(iter(outputs.values())))


def _means(values: Array, of_none: float = 0.0) -> PerSample:
    """The mean of each sample's values, (samples,); `of_none` where an output has no rows."""
    flat = _rows(values)
    return flat.mean(axis=1) if flat.size else np.full(len(flat), of_none)


def _over_outputs(
    outputs: Outputs, reference: Outputs, measure: Callable[[PerSample, PerSample], PerSample]
) -> PerSample:
    """The mean of a measure over all outputs, (samples,)."""
    names = _numbers(reference)
    if not names:
        return np.full(_samples(reference), np.nan)
    measured = [measure(_rows(outputs[n]), _rows(reference[n])) for n in names]
    return np.asarray(np.mean(measured, axis=0))


def log_probabilities(values: PerSample, are_probabilities: bool) -> PerSample:
    """Logarithms of class probabilities, (.., classes), or (.., 2) for a single class.

    Args:
        values: (.., classes): probabilities, or logits for a softmax.
        are_probabilities: whether they are probabilities.
    """
    if values.shape[-1] == 1:  # (.., 1) -> (.., 2)
        logit = (
            values
            if not are_probabilities
            else np.log(values.clip(_TINY, 1)) - np.log1p(-values.clip(0, 1 - _TINY))
        )
        values, are_probabilities = np.concatenate([np.zeros_like(logit), logit], axis=-1), False
    if are_probabilities:
        return np.asarray(np.log(values.clip(_TINY)))
    shifted = values - values.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
