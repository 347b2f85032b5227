"""The usual range of inputs that fits the statistics of a model's BatchNormalization nodes best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import fixed_batch_size, make_batches
from onnx_evoq.data import InputPlan, Noise, draw
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Model, NormStatistics, computing, norm_statistics
from onnx_evoq.score import Session
from onnx_evoq.setup.axes import image_axes, is_image
from onnx_evoq.setup.ranges.input_range import usual_ranges
from onnx_evoq.setup.ranges.norm_fit import misfit
from onnx_evoq.setup.ranges.standardized import standardized_inputs, with_noise
from onnx_evoq.setup.sessions import Resources, open_session
from onnx_evoq.signature import TensorSpec

_VALUES = 1 << 17  # of the inputs of a trial
_MOST_SAMPLES, _LEAST_SAMPLES = 64, 2
_HOPEFUL = 1.5  # times the lowest misfit of one sample
_BETTER = 0.98  # times the misfit of standardized inputs


@dataclass(frozen=True)
class Fit:
    """The range that fits best.

    Attributes:
        plans: inputs in this range.
        misfit: from the statistics of the BatchNormalization nodes.
    """

    plans: list[InputPlan]
    misfit: float


def fitted_range(
    model: Model,
    specs: Sequence[TensorSpec],
    plans: Sequence[InputPlan],
    most: int,
    resources: Resources,
) -> Fit | None:
    """The range that fits best; None if that cannot be said.

    Args:
        model: the model.
        specs: its inputs.
        plans: inputs with which it runs.
        most: how many samples may be run, at most.
        resources: what may be used of the machine.
    """
    names, statistics = standardized_inputs(specs, plans), norm_statistics(model)
    if not names or not statistics:
        return None
    ranges = _ranges(specs, next(plan for plan in plans if plan.name in names))
    values = sum(int(np.prod(plan.shape)) for plan in plans)
    count = min(_MOST_SAMPLES, max(4, _VALUES // max(1, values)), most // len(ranges))
    if count < _LEAST_SAMPLES:
        return None
    part = computing(model, list(dict.fromkeys(each.tensor for each in statistics)))
    session = open_session(part, resources)

    def misfit_of(noise: Noise, samples: int) -> float:
        return _misfit(session, specs, with_noise(plans, names, noise), samples, statistics)

    of_one = {noise: misfit_of(noise, 1) for noise in ranges}
    limit = _HOPEFUL * min(of_one.values())
    hopeful = [noise for noise in ranges if noise == ranges[0] or of_one[noise] <= limit]
    misfits = [misfit_of(noise, count) for noise in hopeful]
    best = int(np.argmin(misfits))
    if not misfits[best] < _BETTER * misfits[0]:
        best = 0
    return Fit(with_noise(plans, names, hopeful[best]), misfits[best])


def _ranges(specs: Sequence[TensorSpec], plan: InputPlan) -> list[Noise]:
    """The ranges to try for an input."""
    assert isinstance(plan.values, Noise)
    spec = next(spec for spec in specs if spec.name == plan.name)
    if not is_image(spec):
        return usual_ranges(plan.values, 0)
    (axis,) = image_axes(spec)[0]
    return usual_ranges(plan.values, plan.shape[axis - len(spec.shape or ())])


def _misfit(
    session: Session,
    specs: Sequence[TensorSpec],
    plans: Sequence[InputPlan],
    count: int,
    statistics: Sequence[NormStatistics],
) -> float:
    """The misfit of some samples; infinite if they cannot be run."""
    inputs = draw(plans, count, np.random.default_rng(0))
    batches = make_batches(inputs, specs, fixed_batch_size(inputs, specs) or 1)

    def outputs() -> Iterator[Arrays]:
        for batch in batches:
            yield session.run({name: batch.feed[name] for name in session.inputs})

    try:
        found = misfit(statistics, outputs())
    except (ModelError, MemoryError):
        return np.inf
    return found if np.isfinite(found) else np.inf
