"""Put what a run found into the values that a caller gets."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from onnx_evoq.model import Model, Weight, serialize
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.quantize import int_bits
from onnx_evoq.report.results import LayerResult, Score, WeightInfo
from onnx_evoq.run import Evolved, Experiment, Quantized
from onnx_evoq.score import Session, predict


def name_of(model: str | Path | Model) -> str:
    """How reports call a model."""
    return "the model in memory" if isinstance(model, Model) else str(model)


def score_of(
    model: Model,
    experiment: Experiment,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Score:
    """The steering metric and, where labels exist, top-1 of a model loaded afresh."""
    session = Session(serialize(model), providers=providers)
    top1 = experiment.top1 or (None, None)
    values: dict[str, float] = {}
    shares: dict[str, float] = {}
    sets = {"search": experiment.search, "heldout": experiment.heldout}
    with progress("scoring", sum(len(scoring.batches) for scoring in sets.values())) as step:
        for (part, scoring), labelled in zip(sets.items(), top1, strict=True):
            outputs = list(stepping(predict(session, scoring.batches), step))
            values[part] = scoring.target.value(outputs, scoring.batches)
            if labelled is not None:
                shares[part] = labelled.target.value(outputs, labelled.batches)
    return Score(values["search"], values["heldout"], shares or None)


def layer_results(evolved: Evolved, ranking: Mapping[str, float]) -> tuple[LayerResult, ...]:
    """One result per weight in the order of the ranking."""
    results = []
    for name, sensitivity in ranking.items():
        grid = evolved.quantized[name][1]
        scores = evolved.layers.get(name)
        results.append(
            LayerResult(
                name=name,
                bits=grid.bits,
                frac_bits=grid.frac_bits,
                sensitivity=sensitivity,
                before=None if scores is None else scores.before,
                after=None if scores is None else scores.after,
            )
        )
    return tuple(results)


def notes_on(evolved: Evolved, max_drop: float | None) -> list[str]:
    """What a user should know about how the search ended."""
    notes = []
    if evolved.stopped == "time":
        notes.append(
            f"the time budget ended the search after {evolved.evaluations} evaluations: a longer "
            "one finds more, and only a search that runs to its end repeats to the byte."
        )
    if evolved.stopped == "interrupt":
        notes.append("the search was interrupted: the result is what was found until then.")
    if evolved.left_out:
        notes.append(
            f"{len(evolved.left_out)} of {len(evolved.quantized)} weights stay at 8 bits, "
            f"since the next would have passed the allowed drop of {max_drop:g} percent."
        )
    if not evolved.safe:
        notes.append(f"even at 8 bits the model drops by more than {max_drop:g} percent.")
    return notes


def describe(
    quantized: Quantized, seed: int, metric: str, before: Score, after: Score
) -> dict[str, str]:
    """The metadata that an emitted model carries."""
    weights = {
        name: {"bits": grid.bits, "frac_bits": grid.frac_bits}
        for name, (_, grid) in quantized.items()
    }
    scores = {"metric": metric, "nearest": before.to_dict(), "evolved": after.to_dict()}
    return {
        "onnx_evoq.version": version("onnx-evoq"),
        "onnx_evoq.seed": str(seed),
        "onnx_evoq.weights": json.dumps(weights),
        "onnx_evoq.scores": json.dumps(scores),
    }


def weight_info(weight: Weight) -> WeightInfo:
    """What `inspect` says of a weight."""
    values = weight.values
    return WeightInfo(
        name=weight.name,
        op_type=weight.op_type,
        nodes=weight.nodes,
        shape=weight.shape,
        dtype=weight.dtype,
        axis=weight.axis,
        low=float(values.min()),
        high=float(values.max()),
        int_bits=int(int_bits(abs(values).max())),
        bytes={bits: -(-values.size * bits // 8) for bits in range(2, 9)},
    )
