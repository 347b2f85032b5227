"""Draw synthetic inputs with which a model runs."""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.batch import one_group
from onnx_evoq.data import Data, InputPlan, Noise, Samples, draw, refuse_preprocessing
from onnx_evoq.errors import DataError
from onnx_evoq.model import Model
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.score import Session
from onnx_evoq.setup.axes import layouts
from onnx_evoq.setup.ranges import fitted_range, range_by_scale
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources, open_session, own_options
from onnx_evoq.setup.synthetic.choice import Choice
from onnx_evoq.setup.synthetic.facts import Facts, facts_of
from onnx_evoq.setup.synthetic.notes import (
    BY_SCALE,
    FITTED,
    GIVEN,
    GUESSED,
    HARDLY_FITTED,
    OF_TYPE,
    SCALED,
    is_a_mere_guess,
    notes_on,
)
from onnx_evoq.setup.synthetic.trial import Trial, first_that_runs, with_varied
from onnx_evoq.signature import TensorSpec

SYNTHETIC_SAMPLES = 256  # by default
_SAMPLES_OTHERWISE = 16  # for each other way to draw inputs whose range is a guess
_TRIAL_SECONDS = 20.0
_MOST_RUNS = 30
_FIT_SECONDS = 10.0  # to find a range
_BAD_FIT = 1.0  # misfit
_RUN_SHARE, _LEAST_SAMPLES = 6, 16  # so many samples shall run in one part of the time
_TRIAL_SHARE = 10  # trial runs may take one part in so many of the time


def synthetic_samples(
    model: Model,
    name: str,
    data: Data,
    rng: np.random.Generator,
    resources: Resources = DEFAULT_RESOURCES,
    deadline: Deadline = NO_DEADLINE,
) -> Samples:
    """Draw samples with which a model runs.

    Args:
        model: the model, as it was loaded.
        name: its name in messages.
        data: how many samples, and the range of their values.
        rng: draws the values.
        resources: what may be used of the machine.
        deadline: by which the whole job must end.

    Raises:
        DataError: no inputs were found with which the model runs.
        ModelError: an input is neither a number nor a flag.
    """
    refuse_preprocessing(data)
    facts, limits = facts_of(model), data.input_range
    outputs = [value.name for value in model.graph.output]
    session = open_session(model, resources, name, own_options(model), outputs)
    trial, choice = _search(facts, session, limits, deadline)
    reason = _reason(facts, trial, choice)
    if limits is None:
        most = min(_FIT_SECONDS, deadline.left / _TRIAL_SHARE) / max(trial.seconds, 1e-6)
        plans, why = _in_range(facts, trial, int(most), resources)
        again = first_that_runs(session, facts.specs, [plans] if plans else [], 1, deadline)
        if again is not None and again.flaws <= trial.flaws:
            trial, reason = again, why
    varied = with_varied(trial, session, facts.specs)
    samples = SYNTHETIC_SAMPLES if data.samples is None else data.samples
    unranged = choice.with_role if limits else ()
    notes = notes_on(samples, varied.plans, facts.specs, reason, unranged)
    group = one_group(draw(varied.plans, samples, rng))
    guess = is_a_mere_guess(reason, trial.plans)
    otherwise = _otherwise(trial.plans, samples, rng) if guess else ()
    return Samples([group], None, notes, "synthetic inputs", own=True, otherwise=otherwise)


def _otherwise(
    plans: Sequence[InputPlan], samples: int, rng: np.random.Generator
) -> tuple[Samples, ...]:
    """Samples that are drawn in other ways; the first are as many as those that are fitted to."""
    of_inputs = [plan.otherwise for plan in plans]
    (apart,) = rng.spawn(1)  # what is drawn from `rng` stays as it is
    found = []
    for way in range(max(map(len, of_inputs))):
        count = min(samples, _SAMPLES_OTHERWISE) if way else samples
        chosen = [ways[min(way, len(ways) - 1)] for ways in of_inputs]
        found.append(Samples([one_group(draw(chosen, count, apart))], source="synthetic inputs"))
    return tuple(found)


def _search(
    facts: Facts, session: Session, limits: tuple[float, float] | None, deadline: Deadline
) -> tuple[Trial, Choice]:
    """Shapes and values with which a model runs, and the choice among which they were found."""
    tried = layouts(facts.specs, facts.names, facts.uses)
    allowed = deadline.left / _RUN_SHARE / _LEAST_SAMPLES
    until = Deadline(min(_TRIAL_SECONDS, deadline.left / _TRIAL_SHARE))
    found: list[tuple[Trial, Choice]] = []
    most = _MOST_RUNS if len(tried) == 1 else _MOST_RUNS // 2
    for layout in tried:
        choice = Choice(facts, limits, layout)
        trial = first_that_runs(session, facts.specs, choice.plans(), most, until)
        if trial is not None:
            trial = _affordable(trial, session, facts.specs, choice, allowed)
            found.append((trial, choice))
            if not any(trial.flaws):
                break
        most = -(-most // 2)  # a layout is likelier than those behind it
    if not found:
        listed = ", ".join(f"{spec.name!r} {spec.describe()}" for spec in facts.specs[:4])
        raise DataError(
            f"{session.name}: no shapes and values were found with which the model runs, of "
            f"{listed}: give data (--data)."
        )
    return min(found, key=lambda each: each[0].flaws)


def _affordable(
    trial: Trial, session: Session, specs: Sequence[TensorSpec], choice: Choice, seconds: float
) -> Trial:
    """The trial, or one with smaller images if a run took more than so many seconds."""
    while trial.seconds > seconds:
        plans = choice.smaller(trial.plans)
        smaller = first_that_runs(session, specs, plans, 1, NO_DEADLINE)
        if smaller is None or any(smaller.flaws) or smaller.seconds > trial.seconds:
            break
        trial = smaller
    return trial


def _in_range(
    facts: Facts, trial: Trial, most: int, resources: Resources
) -> tuple[list[InputPlan] | None, str]:
    """Inputs in the range that the model shows, if it shows one, and how it does."""
    fit = fitted_range(facts.model, facts.specs, trial.plans, most, resources)
    if fit is not None:
        return fit.plans, FITTED if fit.misfit < _BAD_FIT else HARDLY_FITTED
    return range_by_scale(facts.model, facts.specs, trial.plans, resources), BY_SCALE


def _reason(facts: Facts, trial: Trial, choice: Choice) -> str:
    """Why the first input of noise has its range."""
    pairs = zip(facts.specs, trial.plans, strict=True)
    first = next((spec for spec, plan in pairs if isinstance(plan.values, Noise)), None)
    if choice.limits is not None:
        return GIVEN
    if first is not None and first.name in choice.scaled:
        return SCALED
    return OF_TYPE if first is not None and first.dtype.kind in "iu" else GUESSED
