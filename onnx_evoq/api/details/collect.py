"""Collect the details of a result: a few more runs of the models that it compares.

1. Held-out samples are run through nearest rounding, the start and what was found: scores with
   intervals, and the answers that changed.
2. A few of them are run again, up to each layer: the error through the depth of the network.
3. Each weight alone is rounded to the nearest: its sensitivity, as far as time allows.
"""

import math
from typing import Any

from onnx_evoq.api.details.answers import (
    changed_samples,
    measured,
    top1_of,
    top1_with_interval,
)
from onnx_evoq.api.details.depth import Form, errors_through_depth
from onnx_evoq.api.details.layers import layer_details
from onnx_evoq.api.details.provenance import provenance_of
from onnx_evoq.api.job import Job, rounded_model
from onnx_evoq.array_types import Arrays
from onnx_evoq.engine import rank_by_sensitivity
from onnx_evoq.errors import ModelError
from onnx_evoq.freed_memory import give_back
from onnx_evoq.model import Network, Runnable, with_codes
from onnx_evoq.pipeline import FineTuned
from onnx_evoq.report import Result
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Calibration, Task, as_scored, own_options, run_model

_DEPTH_SAMPLES = 32
_DEPTH_RUNS = 10  # of the float model for each of them, with all outputs of layers
_RANKING_SAMPLES = 16
_SHARE = 10  # the details may take one part in so many of the time
_PER_WEIGHT = 0.03  # seconds, to open a session behind it
_ALL = 2.0  # times those seconds, with all that is computed from outputs
_LEAST_SECONDS = 1.0  # for the sensitivities, however short the time


def seconds_of_details(calibration: Calibration, weights: int, deadline: Deadline) -> float:
    """About how long the details may take, a small share of the time at most.

    Args:
        calibration: the samples.
        weights: how many weights there are.
        deadline: of the whole job.
    """
    samples = 3 * calibration.heldout_set.samples + _DEPTH_RUNS * _DEPTH_SAMPLES
    samples += weights * _RANKING_SAMPLES // 2
    seconds = calibration.seconds * samples + _PER_WEIGHT * weights
    return min(_ALL * seconds, deadline.left / _SHARE)


def details_of(
    result: Result,
    digest: str,
    job: Job,
    task: Task,
    tuned: FineTuned,
    readable: bool,
    deadline: Deadline,
) -> dict[str, Any]:
    """All that a report shows besides the result, as plain values.

    Args:
        result: the result.
        digest: the content hash of the float model.
        job: the samples and the metric.
        task: the float model and its grids.
        tuned: what was found.
        readable: whether ONNX Runtime runs the emitted model; else what was found is run.
        deadline: of the whole job; sensitivities are measured until then.

    Returns:
        {"versions", "sha256", "samples", "heldout", "answers", "depth", "layers", "notes"}.
    """
    calibration, notes = job.calibration, list[str]()
    scoring = calibration.heldout_set
    quantized = task.with_behind(tuned.model, tuned.evolved.quantized)
    found = with_codes(tuned.model, quantized)
    models: dict[str, Runnable] = {
        "nearest": rounded_model(task, tuned),
        "start": with_codes(tuned.start_model, task.with_behind(tuned.start_model, tuned.start)),
        "evolved": found,
    }

    def outputs_of(tested: Runnable) -> list[Arrays]:
        seen = as_scored(tested, scoring.criterion)
        options, unlike = own_options(seen), scoring.criterion.unlike
        run = run_model(seen, scoring.batches, task.resources, options=options, unlike=unlike)
        outputs: list[Arrays] = list(run)
        give_back()
        return outputs

    tested = {**models, "evolved": result.model if readable else found}
    heldout: dict[str, Any] = {"samples": scoring.samples, "models": {}}
    answers: dict[str, Any] | None = None
    try:
        outputs = {name: outputs_of(each) for name, each in tested.items()}
        every = {"reference": list(scoring.criterion.of_float_model), **outputs}
        heldout["models"] = {
            name: measured(scoring, each, task.seed) for name, each in every.items()
        }
        if calibration.has_classes:
            right = {name: top1_of(scoring, each) for name, each in every.items()}
            for name, own in right.items():
                of_top1 = top1_with_interval(own, right["reference"])
                heldout["models"][name]["top1"] = of_top1
        answers = changed_samples(calibration, scoring, outputs["evolved"])
    except ModelError as error:
        notes.append(f"single samples are not shown, as a model could not be run again: {error}")
    depth, sensitivity = list[dict[str, object]](), dict[str, float | None]()
    try:
        depth = errors_through_depth(
            task.model, task.weights, _forms(task, tuned, models),
            scoring.first(_DEPTH_SAMPLES).batches[:_DEPTH_SAMPLES], task.resources, task.progress,
        )  # fmt: skip
        ranked = rank_by_sensitivity(
            task.model, task.nearest(task.weights, _widths(tuned)),
            scoring.first(_RANKING_SAMPLES).scored_by_relative_error(),
            Deadline(max(_LEAST_SECONDS, deadline.left)), task.resources, task.progress,
        )  # fmt: skip
        sensitivity = {name: None if math.isnan(e) else e for name, e in ranked.items()}
    except ModelError as error:
        notes.append(f"errors by layer are not shown: {error}")
    integers = {each.tensor for each in result.activations}
    layers = layer_details(task.model, Network(tuned.model.model), quantized, integers)
    for name, of_layer in layers.items():
        of_layer["sensitivity"] = sensitivity.get(name)
    return {
        **provenance_of(digest, [*task.search_set.batches, *task.heldout_set.batches]),
        "samples": {"search": task.search_set.samples, "heldout": task.heldout_set.samples},
        "heldout": heldout,
        "answers": answers,
        "depth": depth,
        "layers": layers,
        "notes": notes,
    }


def _widths(tuned: FineTuned) -> dict[str, Any]:
    return {name: weight.grid.bits for name, weight in tuned.evolved.quantized.items()}


def _forms(task: Task, tuned: FineTuned, models: dict[str, Runnable]) -> dict[str, Form]:
    """The quantized models, each with what it would be without rounding."""
    plain = {"nearest": None, "start": tuned.start_model.model, "evolved": tuned.model.model}
    return {
        name: Form(models[name], None if own is task.model else own) for name, own in plain.items()
    }
