"""Draw synthetic inputs with which a model runs."""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.batch import one_group
from onnx_evoq.data import Data, Samples, draw, refuse_preprocessing
from onnx_evoq.errors import DataError, ModelError
from onnx_evoq.model import (
    Model,
    axis_names,
    input_specs,
    input_uses,
)
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.score import Session
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources, open_session, own_options
from onnx_evoq.setup.synthetic.choice import Choice
from onnx_evoq.setup.synthetic.layout import layouts
from onnx_evoq.setup.synthetic.notes import notes_on
from onnx_evoq.setup.synthetic.trial import Trial, first_that_runs
from onnx_evoq.signature import TensorSpec

SYNTHETIC_SAMPLES = 256  # by default
_TRIAL_SECONDS = 20.0
_MOST_RUNS = 30
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
    specs = input_specs(model)
    _check_drawable(specs)
    outputs = [value.name for value in model.graph.output]
    session = open_session(model, resources, name, own_options(model), outputs)
    trial, with_role = _search(model, session, specs, data.input_range, deadline)
    samples = SYNTHETIC_SAMPLES if data.samples is None else data.samples
    given = data.input_range is not None
    unranged = with_role if given else ()
    notes = notes_on(samples, trial.plans, specs, "which is a guess", given, unranged)
    group = one_group(draw(trial.plans, samples, rng))
    return Samples([group], None, notes, "synthetic inputs", own=True)


def _check_drawable(specs: Sequence[TensorSpec]) -> None:
    for spec in specs:
        if spec.shape is None:
            raise DataError(f"input {spec.name!r} states no shape to draw inputs for: give data.")
        if spec.dtype.kind not in "biuf":
            raise ModelError(
                f"input {spec.name!r} holds {spec.dtype}, which cannot be drawn: give data."
            )


def _search(
    model: Model,
    session: Session,
    specs: Sequence[TensorSpec],
    limits: tuple[float, float] | None,
    deadline: Deadline,
) -> tuple[Trial, set[str]]:
    """Shapes and values with which a model runs, and the inputs whose uses say what they hold."""
    uses = input_uses(model)
    tried = layouts(specs, axis_names(model), uses)
    allowed = deadline.left / _RUN_SHARE / _LEAST_SAMPLES
    until = Deadline(min(_TRIAL_SECONDS, deadline.left / _TRIAL_SHARE))
    found: list[tuple[Trial, set[str]]] = []
    most = _MOST_RUNS if len(tried) == 1 else _MOST_RUNS // 2
    for layout in tried:
        choice = Choice(model, specs, uses, limits, layout)
        trial = first_that_runs(session, specs, choice.plans(), most, until)
        if trial is not None:
            trial = _affordable(trial, session, specs, choice, allowed)
            found.append((trial, choice.with_role))
        if trial and not any(trial.flaws):
            break
        most = -(-most // 2)  # a layout is likelier than those behind it
    if not found:
        listed = ", ".join(f"{spec.name!r} {spec.describe()}" for spec in specs[:4])
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
