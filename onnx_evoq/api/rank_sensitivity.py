"""Rank the weights of a model by sensitivity."""

import math

import numpy as np

from onnx_evoq.api.job import DataSource, ModelSource, prepare_job
from onnx_evoq.engine import rank_by_sensitivity, samples_in_time
from onnx_evoq.metrics import MetricName
from onnx_evoq.model import name_of
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import Sensitivity, SensitivityRow
from onnx_evoq.run import Deadline
from onnx_evoq.setup import (
    DEFAULT_GRID,
    DEFAULT_RESOURCES,
    Grid,
    Resources,
    check_bits,
    check_kinds,
    check_limits,
    check_no_activations,
    check_seed,
    nearest_of,
    open_float_model,
)


@one_blas_thread
def rank_sensitivity(
    model: ModelSource,
    data: DataSource = None,
    *,
    bits: int = 4,
    grid: Grid = DEFAULT_GRID,
    metric: MetricName = "auto",
    time_budget: float | None = None,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Sensitivity:
    """Rank the weights by sensitivity: the model's score when each of them alone is quantized.

    This is algorithm 1 of arXiv 2605.05228. Each weight is rounded to the nearest.

    Args:
        model: the model, as for `optimize`.
        data: the samples, as for `optimize`; all of them score.
        bits: the width in bits at which each weight is tried, 2 to 8.
        grid: the granularity and the steps of the grid, and the weights that stay float.
        metric: what is scored, as for `optimize`.
        time_budget: seconds that all of it may take. Where they are few, the weights are scored on
            the first samples only, and notes say so. Weights that are not measured in time come
            last, with NaN. None for all samples.
        seed: seed of all random draws, 0 or more.
        resources: what may be used of the machine; it does not change the result.
        progress: shows the progress; `onnx_evoq.bars` draws tqdm bars.

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
    check_no_activations(grid)
    check_seed(seed)
    check_limits(time_budget=time_budget)
    deadline = Deadline(time_budget)

    # 2. Open the float model, and run it on the samples.
    rng = np.random.default_rng(seed)
    float_model = open_float_model(model, grid.keep)
    job = prepare_job(
        float_model, name_of(model), data, metric, None, rng, resources, progress, deadline
    )
    float_model, calibration = job.float_model, job.calibration
    every = calibration.search_set
    count = len(float_model.weights)
    scoring = samples_in_time(every, count, calibration.seconds, deadline)

    # 3. Quantize each weight alone, and score the model.
    weights = {weight.name: weight for weight in float_model.weights}
    rounded = nearest_of(
        float_model.weights, dict.fromkeys(weights, bits), granularity, grid.scale,
        narrow=grid.narrow_range,
    )  # fmt: skip
    ranking = rank_by_sensitivity(
        float_model.model, rounded, scoring, deadline, resources, progress
    )
    return Sensitivity(
        source=job.source,
        metric=calibration.metric.name,
        samples=scoring.samples,
        reference=scoring.target.value(scoring.target.reference or ()),
        rows=tuple(
            SensitivityRow(name, weights[name].op_type, weights[name].shape, bits, value)
            for name, value in ranking.items()
        ),
        notes=(*job.notes, *_notes_on(ranking, scoring.samples, every.samples)),
    )


def _notes_on(ranking: dict[str, float], scored: int, samples: int) -> list[str]:
    """What was cut to save time."""
    notes = []
    if scored < samples:
        notes.append(f"the scores are of the first {scored} of {samples} samples, to save time.")
    missing = sum(math.isnan(value) for value in ranking.values())
    if missing:
        notes.append(
            f"{missing} of {len(ranking)} weights have no score, and come last: the time budget "
            "allows no more, or the metric gives no number."
        )
    return notes
