"""Metrics against labels. The first output must hold one row of class scores per sample.

Every function takes scores (samples, classes) and labels (samples,) and returns one number per
sample, (samples,).
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.score.output_metrics import Outputs, PerSample, is_probability, log_probabilities

Labels = NDArray[np.int64]


def top1(scores: PerSample, labels: Labels) -> PerSample:
    """1 where the largest score is the label's, else 0."""
    return top_k(scores, labels, 1)


def top5(scores: PerSample, labels: Labels) -> PerSample:
    """1 where the label is among the five largest scores, else 0."""
    return top_k(scores, labels, 5)


def top_k(scores: PerSample, labels: Labels, k: int) -> PerSample:
    """1 where fewer than k classes beat the label; of equal scores the lower class wins."""
    if scores.shape[1] == 1:  # one score for yes
        middle = 0.5 if is_probability(scores) else 0.0
        return np.asarray((scores[:, 0] > middle) == (labels == 1), np.float64)
    own = scores[np.arange(len(labels)), labels][:, None]  # (samples, 1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]  # (samples, classes)
    beaten_by = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return np.asarray((beaten_by < k) & ~np.isnan(own[:, 0]), np.float64)


def cross_entropy(scores: PerSample, labels: Labels) -> PerSample:
    """``-log p(label)``, p being the scores or, where they are no probabilities, their softmax."""
    log_p = log_probabilities(scores, is_probability(scores))
    return np.asarray(-log_p[np.arange(len(labels)), labels])


def class_scores(outputs: Outputs) -> PerSample:
    """The first output as (samples, classes).

    Raises:
        MetricError: it has more than one row of scores per sample.
    """
    name, values = next(iter(outputs.items()))
    squeezed = values.reshape(len(values), *[size for size in values.shape[1:] if size != 1])
    if squeezed.ndim == 1:
        squeezed = squeezed[:, None]
    if squeezed.ndim != 2:
        raise MetricError(
            f"output {name!r} has shape {values.shape[1:]} per sample, not one row of class "
            "scores: use a metric of your own (package.module:function)."
        )
    return squeezed.astype(np.float64)


def check_labels(labels: NDArray[np.generic], classes: int) -> Labels:
    """Labels as integers.

    Raises:
        DataError: they are not whole numbers from 0 to classes - 1.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.number):
        raise DataError(
            f"labels have shape {labels.shape} and type {labels.dtype}: "
            "give one class number per sample."
        )
    with np.errstate(invalid="ignore"):  # NaN becomes some number, which differs from it
        whole = labels.astype(np.int64)
    classes = max(classes, 2)
    if (whole != labels).any() or whole.min() < 0 or whole.max() >= classes:
        raise DataError(
            f"labels range from {labels.min()} to {labels.max()}, but the model has {classes} "
            f"classes: number them from 0 to {classes - 1}."
        )
    return whole
