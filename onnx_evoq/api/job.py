"""What the jobs that quantize have in common: an open model, and the samples that judge it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_evoq.data import Data, Source, as_data
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import ParetoPoint
from onnx_evoq.model import Model
from onnx_evoq.progress import Progress
from onnx_evoq.setup import (
    Calibration,
    FloatModel,
    Policy,
    Resources,
    fold_if_exact,
    prepare_calibration,
)

ModelSource = str | Path | Model
DataSource = Data | Source | None
PolicySource = Policy | ParetoPoint | Mapping[str, Any] | str | Path


@dataclass(frozen=True)
class Job:
    """An open model, and what judges it.

    Attributes:
        source: how messages and reports call the model.
        float_model: the model and its weights.
        calibration: the samples, in two sets, and the metric.
    """

    source: str
    float_model: FloatModel
    calibration: Calibration

    def with_float_model(self, float_model: FloatModel) -> "Job":
        """The same job for another form of the model."""
        return replace(self, float_model=float_model)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a user should read."""
        return (*self.calibration.notes, *self.float_model.notes)


def judged_by(
    float_model: FloatModel,
    source: str,
    data: DataSource,
    metric: MetricName,
    holdout: float | None,
    rng: np.random.Generator,
    resources: Resources,
    progress: Progress,
) -> Job:
    """Run the float model on the samples that judge, and undo folding where it is not exact.

    Args:
        float_model: the model and its weights.
        source: how messages and reports call it.
        data: the samples; None draws synthetic inputs.
        metric: "auto", the name of a metric, or a function.
        holdout: share of the samples that accepts; None to score on all of them.
        rng: splits the samples, and draws synthetic ones.
        resources: what may be used.
        progress: shows how far it is.

    Raises:
        EvoqError: the data or the metric cannot be used, or the model fails on the data.
    """
    calibration = prepare_calibration(
        float_model.reference, source, as_data(data), metric, holdout, rng, resources, progress
    )
    return Job(source, fold_if_exact(float_model, calibration, resources), calibration)
