"""Emit the model that was found, and score it beside the models that it is compared with."""

from collections.abc import Mapping
from typing import Any

from onnx_evoq.activations import float_model_of
from onnx_evoq.api.job.open_job import Job
from onnx_evoq.freed_memory import give_back
from onnx_evoq.model import (
    Model,
    Network,
    Runnable,
    as_network,
    embed,
    note_widths,
    same,
    to_model,
    with_codes,
)
from onnx_evoq.pipeline import (
    FineTuned,
    Form,
    Storage,
    Strategy,
    emit,
    fixed_for,
    in_qonnx,
    metadata_of,
    seal,
    with_own_outputs,
)
from onnx_evoq.score import SESSION_OPTIONS
from onnx_evoq.setup import Score, Task, own_options, score_of, score_of_float_model


def emitted_model(
    job: Job,
    task: Task,
    tuned: FineTuned,
    strategy: Strategy,
    form: Form,
    storage: Storage,
    seed: int,
    options: Mapping[str, Any],
    source: str,
) -> tuple[Model, Model, dict[str, Score], list[str]]:
    """Emit the model, and score it.

    Args:
        job: the samples and the metric.
        task: the float model, and what was asked for.
        tuned: what was found.
        strategy: how it was found.
        form: of the emitted model.
        storage: the narrowest integer type of weights.
        seed: of all random draws.
        options: with which it was made, for its metadata.
        source: the SHA-256 of the float model.

    Returns:
        The emitted model; the model that was scored, another one if ONNX Runtime cannot run it, or
        if a converter makes the integers; the scores of the reference, of nearest rounding at the
        same widths, of the start of the search, and of the model that was scored, loaded afresh;
        and notes.
    """

    def score(model: Runnable, options: Mapping[str, str] = SESSION_OPTIONS) -> Score:
        found = score_of(model, job.calibration, task.resources, task.progress, options)
        give_back()  # what the session of the whole model held
        return found

    quantized = task.with_behind(tuned.model, tuned.evolved.quantized)
    widths = {name: weight.grid.bits for name, weight in tuned.evolved.quantized.items()}
    nearest = start = score(rounded_model(task, tuned))
    batch = job.calibration.few or task.search_set.batches[0]
    of_integers = tuned.activations is not None and form == "float"
    emitted, notes = emit(
        tuned.model,
        quantized,
        "qdq" if of_integers else form,
        batch,
        task.resources,
        tuned.activations,
        storage,
        task.target,
    )
    evolved = score(emitted, own_options(emitted))
    if strategy.init == "reconstruct" or widths != task.bits:
        codes = task.with_behind(tuned.start_model, tuned.start)
        started = with_codes(tuned.start_model, codes)
        moved = not same(started, with_codes(tuned.model, quantized))
        start = score(started) if moved else evolved
    metric = job.calibration.metric.name
    notes += with_own_outputs(emitted, task.own, batch, task.resources)
    emitted, notes_on_shapes = fixed_for(task.target, emitted)
    reference = score_of_float_model(job.calibration)
    scores = {"nearest": nearest, "evolved": evolved}
    metadata = metadata_of(quantized, seed, metric, scores, task.own, options, source)
    scores = {"reference": reference, "nearest": nearest, "start": start, "evolved": evolved}
    written, notes_on_form = emitted, list[str]()
    if of_integers and tuned.activations is not None:
        written = float_model_of(tuned.activations, as_network(tuned.model), quantized)
        if task.own is not None:
            task.own.restored(written)
    if form == "qonnx":
        written, notes_on_form = in_qonnx(emitted, quantized, tuned.activations)
    embed(written)
    note_widths(written, quantized)
    seal(written, metadata)
    return written, emitted, scores, [*notes, *notes_on_shapes, *notes_on_form]


def rounded_model(task: Task, tuned: FineTuned) -> Network:
    """The float model with all weights rounded to the nearest, at the widths that were found.

    Args:
        task: the float model.
        tuned: what was found.
    """
    widths = {name: weight.grid.bits for name, weight in tuned.evolved.quantized.items()}
    model = as_network(task.model if tuned.plain is None else to_model(tuned.plain.network))
    rounded = task.nearest(task.weights, widths)
    return with_codes(model, task.with_behind(model, rounded, nearest=True))
