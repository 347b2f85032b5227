"""Trial runs of a model with synthetic inputs."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import fixed_batch_size, make_batches
from onnx_evoq.data import InputPlan, Noise, draw
from onnx_evoq.errors import ModelError
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session
from onnx_evoq.signature import TensorSpec

Flaws = tuple[bool, bool, bool]


@dataclass(frozen=True)
class Trial:
    """Inputs with which a model runs.

    Attributes:
        plans: the inputs.
        seconds: that the run took for a sample.
        flaws: whether outputs are empty, NaN or infinite; whether an input is empty; and whether
            several samples do not go into one run, though the model leaves their number open.
    """

    plans: list[InputPlan]
    seconds: float
    flaws: Flaws = (False, False, False)


def first_that_runs(
    session: Session,
    specs: Sequence[TensorSpec],
    plans: Iterable[list[InputPlan]],
    most: int,
    deadline: Deadline,
) -> Trial | None:
    """The first inputs with which a model runs without a flaw, else those with the least of flaws.

    Args:
        session: the model.
        specs: its inputs.
        plans: the inputs to try.
        most: how many of them, at most.
        deadline: after which no other ones are tried.

    Returns:
        None if there are no inputs with which the model runs.
    """
    trials: list[Trial] = []
    for plan in islice(plans, most):
        trial = _tried(session, specs, plan)
        if trial is not None:
            trials.append(trial)
            if not any(trial.flaws):
                return trial
        if deadline.passed:
            break
    return min(trials, key=lambda trial: trial.flaws, default=None)


def with_varied(trial: Trial, session: Session, specs: Sequence[TensorSpec]) -> Trial:
    """The trial with samples of unlike amplitude, where the model runs on each as well.

    Args:
        trial: a trial.
        session: the model.
        specs: its inputs.
    """
    plans = [plan.varied for plan in trial.plans]
    for amplitude in sorted({each for plan in plans for each in _amplitudes(plan)} - {1.0}):
        alone = [_at(plan, amplitude) for plan in plans]
        again = _tried(session, specs, alone)
        if again is None or again.flaws > trial.flaws:
            return trial
    return replace(trial, plans=plans)


def _amplitudes(plan: InputPlan) -> tuple[float, ...]:
    return plan.values.amplitudes if isinstance(plan.values, Noise) else ()


def _at(plan: InputPlan, amplitude: float) -> InputPlan:
    """The plan with one amplitude, if it is one of several."""
    if amplitude not in _amplitudes(plan) or not isinstance(plan.values, Noise):
        return plan
    return replace(plan, values=replace(plan.values, amplitudes=(amplitude,)))


def _tried(session: Session, specs: Sequence[TensorSpec], plan: list[InputPlan]) -> Trial | None:
    """A trial run with one sample, or as many as the model prescribes; None if it fails."""
    fixed = fixed_batch_size(draw(plan, 1, np.random.default_rng(0)), specs)
    began = time.monotonic()
    outputs = _outputs(session, specs, plan, fixed or 1)
    if outputs is None:
        return None
    seconds = (time.monotonic() - began) / (fixed or 1)
    has_numbers = all(map(_has_numbers, outputs.values()))
    is_empty = any(0 in each.shape for each in plan)
    apart = False
    if has_numbers and fixed is None and len(specs) > 1:
        apart = _outputs(session, specs, plan, 2) is None
    return Trial(plan, seconds, (not has_numbers, is_empty, apart))


def _outputs(
    session: Session, specs: Sequence[TensorSpec], plan: list[InputPlan], samples: int
) -> Arrays | None:
    """The outputs of a model for some samples in one run; None if it fails."""
    inputs = draw(plan, samples, np.random.default_rng(0))
    (batch,) = make_batches(inputs, specs, samples)
    try:
        return session.run(batch.feed)
    except (ModelError, MemoryError):
        return None


def _has_numbers(values: Array) -> bool:
    """Whether an output has values, and none of them is NaN or infinite."""
    return values.size > 0 and (values.dtype.kind != "f" or bool(np.isfinite(values).all()))
