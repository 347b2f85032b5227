"""How quantized models answer on held-out samples: scores with intervals, and changed answers.

The answer of a classifier is its largest class. It changed where the quantized model's is another
one. Of models that are no classifiers, those samples are shown whose outputs have the largest
error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.api.details.intervals import bootstrap, paired, wilson
from onnx_evoq.api.details.sample_picture import shown_sample
from onnx_evoq.array_types import Arrays, Float64Array
from onnx_evoq.batch import Batch
from onnx_evoq.metrics import class_scores, find_metric
from onnx_evoq.setup import Calibration, ScoringSet, classifies

_SHOWN = 24  # samples whose answer changed


def measured(scoring: ScoringSet, outputs: Sequence[Arrays], seed: int) -> dict[str, Any]:
    """The metric and the relative error of a model, each with its interval.

    Args:
        scoring: the samples.
        outputs: of the model, for each batch.
        seed: of the bootstrap.

    Returns:
        {"metric": {"value", "low", "high"}, "relative": likewise}; limits are None where there are
        no values of single samples.
    """
    rng = np.random.default_rng(seed)
    return {
        "metric": _mean(scoring, outputs, rng),
        "relative": _mean(scoring.scored_by_relative_error(), outputs, rng),
    }


def _mean(
    scoring: ScoringSet, outputs: Sequence[Arrays], rng: np.random.Generator
) -> dict[str, float | None]:
    criterion = scoring.criterion
    if criterion.metric.against == "user":
        return {"value": criterion.value(outputs), "low": None, "high": None}
    values = criterion.per_sample(outputs)
    limits = (
        wilson(float(values.mean()), len(values))
        if criterion.metric.name in ("top1", "top5")
        else bootstrap(values, rng)
    )
    low, high = (None, None) if limits is None else limits
    return {"value": float(values.mean()), "low": low, "high": high}


def top1_of(scoring: ScoringSet, outputs: Sequence[Arrays]) -> Float64Array:
    """1 for each sample whose label is the largest class, else 0, (samples,)."""
    return scoring.scored_by(find_metric("top1")).criterion.per_sample(outputs)


def top1_with_interval(right: Float64Array, of_float: Float64Array) -> dict[str, Any]:
    """The top-1 of a model with its interval, and with the points that it loses.

    Args:
        right: (samples,) 1 where the model is right.
        of_float: the same of the float model.
    """
    low, high = wilson(float(right.mean()), len(right))
    lost = paired(of_float - right)
    return {
        "value": float(right.mean()), "low": low, "high": high,
        "lost": float((of_float - right).mean()), "lost_within": None if lost is None else [*lost],
    }  # fmt: skip


@dataclass(frozen=True)
class _Answers:
    """The classes that a model chooses, and how certain it is of them, (samples,) each."""

    classes: NDArray[np.int64]
    certainty: Float64Array


def changed_samples(
    calibration: Calibration, scoring: ScoringSet, outputs: Sequence[Arrays]
) -> dict[str, Any]:
    """The samples whose answer a quantized model changes, the most certain ones first.

    Args:
        calibration: says whether the outputs are classes.
        scoring: the samples, with the outputs of the float model.
        outputs: of the quantized model, for each batch.

    Returns:
        {"kind": "classes" or "values", "changed": how many, None for values, "of": samples, "low",
        "high": the interval of their share, "samples": those that are shown}.
    """
    reference = scoring.criterion.of_float_model
    if not calibration.has_classes and not classifies(calibration.heldout_set):
        return _largest_errors(scoring, outputs)
    layouts = scoring.criterion.of_reference or {}
    before, after = (_answers(each, layouts) for each in (reference, outputs))
    changed = np.flatnonzero(before.classes != after.classes)
    order = changed[np.argsort(-before.certainty[changed], kind="stable")]
    labels = scoring.criterion.labels if calibration.has_classes else None
    rows = [
        {
            **_sample(scoring.batches, int(place)),
            "label": None if labels is None else int(np.asarray(labels[place]).flat[0]),
            "float": int(before.classes[place]),
            "float_certainty": float(before.certainty[place]),
            "quantized": int(after.classes[place]),
            "quantized_certainty": float(after.certainty[place]),
        }
        for place in order[:_SHOWN]
    ]
    samples = len(before.classes)
    low, high = wilson(len(changed) / samples, samples)
    return {
        "kind": "classes", "changed": len(changed), "of": samples, "low": low, "high": high,
        "samples": rows,
    }  # fmt: skip


def _answers(outputs: Sequence[Arrays], layouts: Mapping[str, Any]) -> _Answers:
    first = next((n for n, v in outputs[0].items() if v.dtype.kind == "f"), None)
    if first is None:  # classes themselves
        name = next(iter(outputs[0]))
        classes = np.concatenate(
            [each[name].reshape(len(each[name]), -1)[:, 0] for each in outputs]
        )
        return _Answers(classes.astype(np.int64), np.ones(len(classes)))
    scores = np.concatenate([class_scores(each) for each in outputs])
    probabilities = first in layouts and layouts[first].probabilities
    if scores.shape[1] == 1:
        ones = scores[:, 0] if probabilities else 1 / (1 + np.exp(-scores[:, 0].clip(-500, 500)))
        return _Answers((ones > 0.5).astype(np.int64), np.maximum(ones, 1 - ones))
    classes = scores.argmax(axis=1)
    if not probabilities:
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = raised / raised.sum(axis=1, keepdims=True)
    return _Answers(classes, scores[np.arange(len(scores)), classes])


def _largest_errors(scoring: ScoringSet, outputs: Sequence[Arrays]) -> dict[str, Any]:
    errors = scoring.scored_by_relative_error().criterion.per_sample(outputs)
    order = np.argsort(-np.nan_to_num(errors, nan=np.inf), kind="stable")[:_SHOWN]
    rows = [
        {**_sample(scoring.batches, int(place)), "error": float(errors[place])} for place in order
    ]
    return {"kind": "values", "changed": None, "of": len(errors), "samples": rows}


def _sample(batches: Sequence[Batch], place: int) -> dict[str, Any]:
    """A sample of a set by its place among all of them."""
    number = place
    for batch in batches:
        if place < batch.count:
            return {"sample": number, **shown_sample(batch, place)}
        place -= batch.count
    raise IndexError(number)
