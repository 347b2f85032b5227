"""Set up what a search is scored on: samples, the reference model's answers, a metric, two sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_evoq.batch import Arrays, make_batches
from onnx_evoq.data import Data, Samples, load_samples, split
from onnx_evoq.errors import DataError, MetricError, ModelError
from onnx_evoq.model import Model, input_specs, serialize
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.run.scoring import ScoringSet
from onnx_evoq.score import Metric, Session, Target, choose_batch_size, find_metric, predict
from onnx_evoq.signature import TensorSpec

MetricName = str | Callable[..., Any]


@dataclass(frozen=True)
class Experiment:
    """Everything that scores, for one reference model and one set of samples.

    Attributes:
        metric: what steers.
        search: the samples that select.
        heldout: the samples that accept.
        top1: the same two sets scored by top-1, None where there are no class labels.
        agreement: the held-out set scored by agreement with the reference.
        notes: sentences that a user should read.
    """

    metric: Metric
    search: ScoringSet
    heldout: ScoringSet
    top1: tuple[ScoringSet, ScoringSet] | None
    agreement: ScoringSet
    notes: tuple[str, ...]


def find_samples(
    specs: Sequence[TensorSpec],
    data: Data,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> Samples:
    """The samples for a model with inputs `specs`.

    Raises:
        ModelError: the model takes no inputs.
        DataError: the data cannot be read or do not fit.
    """
    if not specs:
        raise ModelError("the model takes no inputs, so that there is nothing to score it on.")
    return load_samples(data, specs, rng, progress)


def reference_outputs(
    session: Session,
    samples: Samples,
    specs: Sequence[TensorSpec],
    size: int,
    progress: Progress = silent,
) -> list[Arrays]:
    """The reference model's outputs in batches.

    Raises:
        ModelError: one is NaN or infinite.
    """
    batches = make_batches(samples.inputs, specs, size)
    with progress("reference", len(batches)) as step:
        outputs: list[Arrays] = list(stepping(predict(session, batches), step))
    for name in outputs[0]:
        for part in outputs:
            if part[name].dtype.kind == "f" and not np.isfinite(part[name]).all():
                raise ModelError(
                    f"{session.name}: output {name!r} is NaN or infinite on {samples.source}: "
                    "check the preprocessing (divide, mean, std), or the model."
                )
    return outputs


def prepare(
    model: Model,
    name: str,
    data: Data,
    metric: MetricName,
    holdout: float | None,
    rng: np.random.Generator,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Experiment:
    """Read the samples, split them, and run the reference model on both parts.

    Args:
        model: the reference model.
        name: how messages call it.
        data: the samples.
        metric: "auto" for the output error: mse, or sqnr where several outputs must count alike.
        holdout: share of the samples that accepts; None to score on all of them in both parts.
        rng: splits the samples, and draws synthetic ones.
        providers: as for `Session`.
        progress: shows how far it is.
    """
    specs = input_specs(model)
    chosen = None if metric == "auto" else find_metric(metric)
    samples = find_samples(specs, data, rng, progress)
    session = Session(serialize(model), name, providers)
    size = choose_batch_size(session, samples.inputs, specs)
    parts = (samples, samples) if holdout is None else split(samples, holdout, rng)
    references = [reference_outputs(session, part, specs, size, progress) for part in parts]
    if chosen is None:
        chosen = find_metric("mse" if len(session.outputs) == 1 else "sqnr")

    def scored_by(kind: Metric) -> list[ScoringSet]:
        return [
            ScoringSet(make_batches(part.inputs, specs, size), Target(kind, outputs, part.labels))
            for part, outputs in zip(parts, references, strict=True)
        ]

    search, heldout = scored_by(chosen)
    _check_metric(chosen, search, references[0])
    top1 = None
    if samples.labels is not None and _has_classes(
        chosen, scored_by(find_metric("top1")), references
    ):
        top1 = tuple(scored_by(find_metric("top1")))
    return Experiment(
        chosen,
        search,
        heldout,
        None if top1 is None else (top1[0], top1[1]),
        scored_by(find_metric("agreement"))[1],
        samples.notes,
    )


def _check_metric(metric: Metric, scoring: ScoringSet, reference: Sequence[Arrays]) -> None:
    """The metric must give a number for the reference model itself."""
    value = scoring.target.value(reference, scoring.batches)
    if np.isnan(value):
        raise MetricError(
            f"metric {metric.name!r} returns NaN for the float model's outputs: mend the metric."
        )


def _has_classes(
    steering: Metric, sets: Sequence[ScoringSet], references: Sequence[Sequence[Arrays]]
) -> bool:
    """Whether the labels are classes of the first output, so that top-1 can stand beside."""
    try:
        for scoring, outputs in zip(sets, references, strict=True):
            scoring.target.value(outputs, scoring.batches)
    except MetricError:
        return False  # the output is no row of class scores
    except DataError:
        if steering.against != "user":
            raise  # labels out of range are a mistake, unless a user's metric reads them
        return False
    return True
