"""Metrics against labels. The first output of floats must hold one row of class scores per sample.

Every function takes scores (samples, classes), labels (samples,) and whether the scores are
probabilities, and returns one number per sample, (samples,).
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.metrics.output_metrics import Outputs, PerSample, log_probabilities

Labels = NDArray[np.int64]


def top1(scores: PerSample, labels: Labels, probable: bool) -> PerSample:
    """1 where the largest score is the label's, else 0."""
    return top_k(scores, labels, probable, 1)


def top5(scores: PerSample, labels: Labels, probable: bool) -> PerSample:
    """1 where the label is among the five largest scores, else 0."""
    return top_k(scores, labels, probable, 5)


def top_k(scores: PerSample, labels: Labels, probable: bool, k: int) -> PerSample:
    """1 where fewer than k classes beat the label; of equal scores the lower class wins."""
    if scores.shape[1] == 1:  # one score for yes
        right = (scores[:, 0] > (0.5 if probable else 0.0)) == (labels == 1)
    else:
        own = scores[np.arange(len(labels)), labels][:, None]  # (samples, 1)
        earlier = np.arange(scores.shape[1]) < labels[:, None]  # (samples, classes)
        right = ((scores > own) | ((scores == own) & earlier)).sum(axis=1) < k
    return np.asarray(right & ~np.isnan(scores).any(axis=1), np.float64)


def cross_entropy(scores: PerSample, labels: Labels, probable: bool) -> PerSample:
    """``-log p(label)``, p being the scores or, where they are no probabilities, their softmax."""
    log_p = log_probabilities(scores, probable)
    return np.asarray(-log_p[np.arange(len(labels)), labels])


def scores_name(outputs: Outputs) -> str:
    """The first output of floats.

    Raises:
        MetricError: there is none.
    """
    for name, values in outputs.items():
        if values.dtype.kind == "f":
            return name
    raise MetricError(
        f"no output holds class scores ({', '.join(outputs)}): use a metric of your own "
        "(package.module:function), or the output error."
    )


def class_scores(outputs: Outputs) -> PerSample:
    """The first output of floats as (samples, classes).

    Raises:
        MetricError: there is none, or it has more than one row of scores per sample.
    """
    name = scores_name(outputs)
    values = outputs[name]
    squeezed = values.reshape(len(values), *[size for size in values.shape[1:] if size != 1])
    if squeezed.ndim == 1:
        squeezed = squeezed[:, None]
    if squeezed.ndim != 2:
        raise MetricError(
            f"output {name!r} has shape {values.shape[1:]} per sample, not one row of class "
            "scores: choose the output error (mse, sqnr), or a metric of your own as "
            "package.module:function or file.py:function."
        )
    return squeezed.astype(np.float64)


def class_numbers(labels: Array) -> Labels | None:
    """Labels as whole numbers, None where they are something else (a regression's targets, say)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype == bool:
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.number):
        return None
    with np.errstate(invalid="ignore"):  # NaN becomes some number, which differs from it
        whole = labels.astype(np.int64)
    return None if (whole != labels).any() else whole


def check_labels(labels: Array, classes: int) -> Labels:
    """Labels as class numbers.

    Raises:
        DataError: they are not whole numbers from 0 to classes - 1.
    """
    whole = class_numbers(labels)
    if whole is None:
        raise DataError(
            f"labels have shape {labels.shape} and type {labels.dtype}, and hold no class numbers: "
            "give one whole number per sample."
        )
    classes = max(classes, 2)
    if whole.min() < 0 or whole.max() >= classes:
        raise DataError(
            f"labels range from {labels.min()} to {labels.max()}, but the model has {classes} "
            f"classes: number them from 0 to {classes - 1}."
        )
    return whole
