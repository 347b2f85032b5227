"""Rank the weights of a model by sensitivity."""

import math
from collections.abc import Sequence

import numpy as np

from onnx_evoq.activations import activation_sensitivity, quantize_activations
from onnx_evoq.api.job import DataSource, ModelSource, prepare_job
from onnx_evoq.engine import rank_by_sensitivity, samples_in_time
from onnx_evoq.metrics import MetricName
from onnx_evoq.model import name_of
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import ACTIVATION, Sensitivity, SensitivityRow
from onnx_evoq.run import Deadline, Recorder
from onnx_evoq.setup import (
    DEFAULT_GRID,
    DEFAULT_RESOURCES,
    Grid,
    Resources,
    Task,
    bits_of,
    check_bits,
    check_kinds,
    check_limits,
    check_seed,
    on_cluster,
    open_float_model,
)


@one_blas_thread
@on_cluster
def rank_sensitivity(
    model: ModelSource,
    data: DataSource = None,
    *,
    bits: int = 4,
    grid: Grid = DEFAULT_GRID,
    metric: MetricName = "auto",
    time_budget: float | None = None,
    requantize: bool = False,
    score_at: Sequence[str] = (),
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Sensitivity:
    """Rank the weights by sensitivity: the model's score when each of them alone is quantized.

    This is algorithm 1 of arXiv 2605.05228. Each weight is rounded to the nearest. With a width for
    activations, each of them is quantized alone, too, on the grid of least squared error.

    Args:
        model: the model, as for `optimize`.
        data: the samples, as for `optimize`; all of them score.
        bits: the width in bits at which each weight is tried, 2 to 8.
        grid: the granularity and the steps of the grid, the weights that stay float, and the width
            of activations.
        metric: what is scored, as for `optimize`.
        time_budget: seconds that all of it may take. Where they are few, the weights are scored on
            the first samples only, and notes say so. Weights that are not measured in time come
            last, with NaN. None for all samples.
        requantize: whether weights that are quantized already, codes with DequantizeLinear, are
            quantized anew; else they stay as they are.
        score_at: the tensors at which models are compared, as for `optimize`.
        seed: seed of all random draws, 0 or more.
        resources: what may be used of the machine; it does not change the result.
        progress: shows the progress; `onnx_evoq.bars` writes it to stderr.

    Returns:
        The ranking, least sensitive first.

    Raises:
        ModelError: the model cannot be read, run or quantized.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot be computed.
        OptionError: an option has a value that makes no sense.

    Example:
        >>> import onnx_evoq
        >>> ranking = onnx_evoq.rank_sensitivity("model.onnx")  # doctest: +SKIP
        >>> ranking.rows[-1].name  # doctest: +SKIP
        'conv1.weight'
    """
    # 1. Check the options.
    check_kinds(grid=(grid, Grid), resources=(resources, Resources))
    check_bits(bits)
    granularity = grid.of_all()
    check_seed(seed)
    check_limits(time_budget=time_budget)
    deadline = Deadline(time_budget)
    progress = Recorder(progress, deadline)

    # 2. Open the float model, and run it on the samples.
    rng = np.random.default_rng(seed)
    float_model = open_float_model(
        model, grid.keep, form="float", requantize=requantize, score_at=score_at,
        resources=resources,
    )  # fmt: skip
    job = prepare_job(
        float_model, name_of(model), data, metric, None, rng, resources, progress, deadline
    )
    float_model, calibration = job.float_model, job.calibration
    every = calibration.search_set
    count = len(float_model.weights)
    task = Task(
        float_model.model, float_model.weights, bits_of(float_model.weights, bits, {}), granularity,
        grid.scale, every, calibration.heldout_set, deadline, None, resources, progress,
        calibration.seconds, narrow_range=grid.narrow_range, activation_bits=grid.activations,
        activation_scale=grid.activation_scale, memory=calibration.memory,
    )  # fmt: skip
    activations = None
    if grid.activations is not None:
        activations = quantize_activations(task, grid.activations, grid.activation_scale)
        count += len(activations.tensors)
    scoring = samples_in_time(every, count, calibration.seconds, deadline)

    # 3. Quantize each weight alone, and each activation, and score the model.
    rounded = task.nearest(task.weights, task.bits)
    ranking = rank_by_sensitivity(
        float_model.model, rounded, scoring, deadline, resources, progress
    )
    rows = [SensitivityRow(w.name, w.op_type, w.shape, bits, ranking[w.name]) for w in task.weights]
    if activations is not None:
        found = activation_sensitivity(activations, scoring, deadline, resources, progress)
        rows += [
            SensitivityRow(t.name, ACTIVATION, (), activations.grids[t.scale].bits, found[t.name])
            for t in activations.tensors
        ]
    notes = _notes_on(rows, scoring.samples, every.samples)
    rows += [SensitivityRow(w.name, w.op_type, w.shape, bits, math.nan) for w in float_model.behind]
    fitness = calibration.metric.fitness

    def place(row: SensitivityRow) -> float:
        return math.inf if math.isnan(row.score) else fitness(row.score)

    return Sensitivity(
        source=job.source,
        metric=calibration.metric.name,
        samples=scoring.samples,
        reference=scoring.criterion.value(scoring.criterion.of_float_model),
        rows=tuple(sorted(rows, key=place)),
        notes=(*job.notes, *notes),
        scored_at=float_model.points.names,
    )


def _notes_on(rows: Sequence[SensitivityRow], scored: int, samples: int) -> list[str]:
    """What was cut to save time."""
    notes = []
    if scored < samples:
        notes.append(f"the scores are of the first {scored} of {samples} samples, to save time.")
    missing = sum(math.isnan(row.score) for row in rows)
    what = "weights and activations" if any(r.op_type == ACTIVATION for r in rows) else "weights"
    if missing:
        notes.append(
            f"{missing} of {len(rows)} {what} have no score, and come last: the time budget "
            "allows no more, or the metric gives no number."
        )
    return notes
