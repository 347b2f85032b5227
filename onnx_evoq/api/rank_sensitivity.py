"""Rank weights by the score of the model when each of them alone is quantized."""

import numpy as np

from onnx_evoq.api.job import DataSource, ModelSource, judged_by
from onnx_evoq.engine import rank_by_sensitivity
from onnx_evoq.metrics import MetricName
from onnx_evoq.model import name_of
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import Sensitivity, SensitivityRow
from onnx_evoq.setup import (
    DEFAULT_GRID,
    DEFAULT_RESOURCES,
    Grid,
    Resources,
    check_bits,
    check_seed,
    model_value,
    nearest_of,
    open_float_model,
)


def rank_sensitivity(
    model: ModelSource,
    data: DataSource = None,
    *,
    bits: int = 4,
    grid: Grid = DEFAULT_GRID,
    metric: MetricName = "auto",
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Sensitivity:
    """Rank the weights by the model's score when each of them alone is quantized.

    This is algorithm 1 of arXiv 2605.05228.

    Args:
        model: as for `optimize`, as are `data`, `grid`, `metric`, `seed`, `resources` and
            `progress`.
        bits: the width to try.

    Returns:
        The ranking, least sensitive first.

    Raises:
        EvoqError: as for `optimize`.

    Example:
        >>> import onnx_evoq
        >>> ranking = onnx_evoq.rank_sensitivity("model.onnx")  # doctest: +SKIP
        >>> ranking.rows[-1].name  # doctest: +SKIP
        'conv1.weight'
    """
    check_bits(bits)
    granularity = grid.of_all()
    check_seed(seed)
    rng = np.random.default_rng(seed)
    float_model = open_float_model(model, grid.keep)
    job = judged_by(float_model, name_of(model), data, metric, None, rng, resources, progress)
    float_model, scoring = job.float_model, job.calibration.search
    weights = {weight.name: weight for weight in float_model.weights}
    rounded = nearest_of(float_model.weights, dict.fromkeys(weights, bits), granularity, grid.scale)
    ranking = rank_by_sensitivity(float_model.model, rounded, scoring, None, resources, progress)
    return Sensitivity(
        source=job.source,
        metric=job.calibration.metric.name,
        samples=scoring.samples,
        reference=model_value(float_model.reference, scoring, resources),
        rows=tuple(
            SensitivityRow(name, weights[name].op_type, weights[name].shape, bits, value)
            for name, value in ranking.items()
        ),
        notes=job.notes,
    )
