"""Make the result of a job: emit the model, hold it to the allowed drop, and describe it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from onnx_evoq.api.job.emitted_model import emitted_model
from onnx_evoq.api.job.open_job import Job, ModelSource
from onnx_evoq.api.job.widths import one_granularity
from onnx_evoq.model import (
    data_files,
    find_weights,
    operators,
    packed_bytes,
    size_in_bytes,
    with_codes,
)
from onnx_evoq.pipeline import FineTuned, Form, Storage, Strategy
from onnx_evoq.report import (
    Result,
    activation_results,
    coverage_of,
    errors_of,
    layer_results,
    notes_on,
    notes_on_fit,
    notes_on_nearest,
    notes_on_size,
    output_results,
)
from onnx_evoq.run import Interruption, Stopped
from onnx_evoq.setup import Drop, Grid, Task, check_drop, own_options


@dataclass(frozen=True)
class Asked:
    """What a user asked for, as far as the result tells it or the file depends on it.

    Attributes:
        model: the float model.
        bits: the width of the weights; None for a policy.
        grid: the steps, and the widths of activations.
        strategy: how codes are searched.
        form: of the emitted model.
        storage: the narrowest integer type of weights.
        max_drop: percent that the model may lose; None for no limit.
        seed: of all random draws.
        digest: the content hash of the float model.
        has_data: whether samples were given.
    """

    model: ModelSource
    bits: int | None
    grid: Grid
    strategy: Strategy
    form: Form
    storage: Storage
    max_drop: float | None
    seed: int
    digest: str
    has_data: bool = True


def result_of(
    asked: Asked,
    job: Job,
    task: Task,
    tuned: FineTuned,
    drop: Drop | None,
    ranking: Mapping[str, float] | None,
    interruption: Interruption,
    notes: tuple[str, ...],
    began: float,
) -> Result:
    """Emit the model that was found, score it, and tell how it was made.

    Args:
        asked: what the user asked for.
        job: the samples and the metric of the scores.
        task: the float model and its grids.
        tuned: what was found.
        drop: measures what a model loses; None without an allowed drop.
        ranking: the sensitivity of each weight; None if weights were not ranked.
        interruption: says whether a signal came meanwhile.
        notes: sentences on what was asked for, and on what was cut.
        began: when the job began, on the monotonic clock.

    Raises:
        BudgetError: the model drops by more than is allowed.
    """
    evolved, max_drop, of_weights = tuned.evolved, asked.max_drop, ranking
    if of_weights is None:
        of_weights = {weight.name: float("nan") for weight in task.weights}
    emitted, scored, scores, emission_notes = emitted_model(
        job, task, tuned, asked.strategy, asked.form, asked.storage, asked.seed,
        _options(asked, task), asked.digest,
    )  # fmt: skip
    if drop is not None and max_drop is not None:
        lost = drop(with_codes(tuned.model, evolved.quantized))
        check_drop(
            lost, max_drop, job.source, tuned.activations is not None,
            interrupted=evolved.stopped is Stopped.INTERRUPT, guessed=task.otherwise is not None,
        )  # fmt: skip
    every = replace(evolved, quantized=task.with_behind(tuned.model, evolved.quantized))
    coverage = coverage_of(
        *find_weights(job.float_model.model), every.quantized,
        {**tuned.nearest, **dict.fromkeys(task.rounded_behind, "behind what is scored")},
    )  # fmt: skip
    sizes = size_in_bytes(asked.model), size_in_bytes(emitted)
    integer_ops, float_ops = operators(scored) if tuned.activations else ({}, {})
    criterion = job.calibration.heldout_set.criterion
    return Result(
        model=emitted,
        source=job.source,
        bits=asked.bits,
        granularity=one_granularity(task.granularity),
        scale=asked.grid.scale,
        seed=asked.seed,
        metric=job.calibration.metric.name,
        scores=scores,
        layers=layer_results(every, {**of_weights, **dict.fromkeys(task.behind, float("nan"))}),
        bytes_before=sizes[0],
        bytes_after=sizes[1],
        packed_bytes=packed_bytes(tuned.model, every.quantized),
        evaluations=evolved.evaluations,
        seconds=time.monotonic() - began,
        stopped=evolved.stopped or interruption.reason,
        notes=(
            *job.notes,
            *tuned.notes,
            *notes_on(evolved, of_weights, max_drop, ranking is not None, asked.grid.activations),
            *notes_on_fit(scores["evolved"], job.calibration.metric),
            *notes_on_nearest(scores, job.calibration.metric, evolved.stopped),
            *notes,
            *emission_notes,
            *notes_on_size(*sizes, coverage),
        ),
        session_options=dict(own_options(scored)),
        target=task.target.name,
        activations=activation_results(tuned.activations),
        integer_ops=integer_ops,
        float_ops=float_ops,
        outputs=output_results(errors_of(scores), criterion.of_reference or {}, job.unmoved),
        scored_at=job.float_model.points.names,
        coverage=coverage,
        data_files=tuple(data_files(asked.model)),
    )


def _options(asked: Asked, task: Task) -> dict[str, Any]:
    """The options that a model was made with, for its metadata; None is left out.

    The widths are left out, too: the metadata hold those of the weights.
    """
    grid, strategy = asked.grid, asked.strategy
    options = {
        "format": asked.form,
        "granularity": one_granularity(task.granularity),
        "scale": grid.scale,
        "narrow_range": task.narrow_range,
        "activations": grid.activations,
        "activation_scale": None if grid.activations is None else grid.activation_scale,
        "storage": asked.storage,
        "target": task.target.name,
        "max_drop": asked.max_drop,
        "strategy": strategy.name,
        "init": strategy.init,
        "population": strategy.population,
        "generations": strategy.generations,
        "mutation_rate": strategy.mutation_rate,
        "data": asked.has_data,
    }
    return {name: value for name, value in options.items() if value is not None}
