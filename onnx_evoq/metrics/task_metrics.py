"""Metrics that compare class scores with labels.

The first output of floats must hold one row of class scores per sample. Every metric takes scores
(samples, classes), labels (samples,) and whether the scores are probabilities. It returns one
number per sample, (samples,).
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.metrics.output_metrics import Outputs, PerSample, log_probabilities

ClassLabels = NDArray[np.int64]


def top1(scores: PerSample, labels: ClassLabels, are_probabilities: bool) -> PerSample:
    """1 where the largest score is the label's, else 0."""
    return top_k(scores, labels, are_probabilities, 1)


def top5(scores: PerSample, labels: ClassLabels, are_probabilities: bool) -> PerSample:
    """1 where the label is among the five largest scores, else 0."""
    return top_k(scores, labels, are_probabilities, 5)


def top_k(scores: PerSample, labels: ClassLabels, are_probabilities: bool, k: int) -> PerSample:
    """1 where fewer than k classes rank above the label, else 0; 0 where a score is NaN.

    Of two equal scores, the class with the lower number ranks above the other. A single score is
    that of class 1, which ranks above class 0 where the score is a probability above 1/2, or a
    logit above 0.
    """
    if scores.shape[1] == 1:
        right = (scores[:, 0] > (0.5 if are_probabilities else 0.0)) == (labels == 1)
        right |= k > 1  # both classes are among the first two
    else:
        own = scores[np.arange(len(labels)), labels][:, None]  # (samples, 1)
        earlier = np.arange(scores.shape[1]) < labels[:, None]  # (samples, classes)
        right = ((scores > own) | ((scores == own) & earlier)).sum(axis=1) < k
    return np.asarray(right & ~np.isnan(scores).any(axis=1), np.float64)


def cross_entropy(scores: PerSample, labels: ClassLabels, are_probabilities: bool) -> PerSample:
    """``-log p(label)``, where p are the scores or, if they are logits, their softmax."""
    log_p = log_probabilities(scores, are_probabilities)
    return np.asarray(-log_p[np.arange(len(labels)), labels])


def scores_name(outputs: Outputs) -> str:
    """The name of the first output of floats, which holds the class scores.

    Raises:
        MetricError: no output is of floats.
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
        MetricError: no output is of floats, or it has more than one row of scores per sample.
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


def class_numbers(labels: Array) -> ClassLabels | None:
    """Labels as class numbers, (samples,); None where they are not whole numbers.

    The targets of a regression are no class numbers, for example.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype == bool:
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.number):
        return None
    with np.errstate(invalid="ignore"):  # NaN becomes some number, which is unequal to NaN
        whole = labels.astype(np.int64)
    return None if (whole != labels).any() else whole


def check_labels(labels: Array, classes: int) -> ClassLabels:
    """Labels as class numbers, (samples,).

    Args:
        labels: (samples,) or (samples, 1).
        classes: how many class scores the model has; a single score counts as two classes.

    Raises:
        DataError: the labels are not whole numbers from 0 to classes - 1.
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
