"""Draw synthetic inputs with which a model runs."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from onnx_evoq.batch import one_group
from onnx_evoq.data import Data, Samples, Values, draw, refuse_preprocessing
from onnx_evoq.errors import DataError, ModelError
from onnx_evoq.model import (
    InputUses,
    Model,
    ShapeInference,
    axis_names,
    input_specs,
    input_uses,
)
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.score import Session
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources, open_session, own_options
from onnx_evoq.setup.synthetic.layout import Layout, layouts
from onnx_evoq.setup.synthetic.notes import notes_on
from onnx_evoq.setup.synthetic.search import (
    MOST_RUNS,
    Shapes,
    Trial,
    first_that_runs,
    plans_to_try,
    shapes_to_try,
)
from onnx_evoq.setup.synthetic.sizes import image_axes, is_image, sizes_to_try
from onnx_evoq.setup.synthetic.values import Around, noise_of, values_of_role, within_limits
from onnx_evoq.signature import TensorSpec

SYNTHETIC_SAMPLES = 256  # by default
_TRIAL_SECONDS = 20.0
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
    choice = _Choice(model, specs, data)
    session = open_session(model, resources, name, own_options(model))
    trial = _search(model, session, specs, choice, deadline)
    samples = SYNTHETIC_SAMPLES if data.samples is None else data.samples
    notes = notes_on(
        samples, trial.plans, specs, "which is a guess", data.input_range is not None,
        choice.unranged,
    )  # fmt: skip
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
    choice: "_Choice",
    deadline: Deadline,
) -> Trial:
    """Shapes and values with which a model runs."""
    tried = layouts(specs, axis_names(model), choice.uses)
    until = min(_TRIAL_SECONDS, deadline.left / _TRIAL_SHARE)
    trials = []
    for layout in tried:
        groups = sizes_to_try(layout, specs, [])
        choice.layout = layout
        shapes = shapes_to_try(layout, groups, choice.contradicted)
        plans = plans_to_try(specs, shapes, choice.values)
        most = MOST_RUNS // len(tried)
        trial = first_that_runs(session, specs, plans, most, Deadline(until / len(tried)))
        if trial is not None and trial.gives_numbers:
            return trial
        trials += [trial] if trial else []
    if not trials:
        listed = ", ".join(f"{spec.name!r} {spec.describe()}" for spec in specs[:4])
        raise DataError(
            f"{session.name}: no shapes and values were found with which the model runs, of "
            f"{listed}: give data (--data)."
        )
    return trials[0]


class _Choice:
    """What to try for the values of the inputs.

    Args:
        model: the model.
        specs: its inputs.
        data: the range that the user wants.
    """

    def __init__(self, model: Model, specs: Sequence[TensorSpec], data: Data) -> None:
        self.uses: Mapping[str, InputUses] = input_uses(model)
        self.layout: Layout | None = None
        self.unranged: set[str] = set()
        self._specs, self._limits = specs, data.input_range
        self._inference = ShapeInference(model)

    def contradicted(self, shapes: Shapes) -> bool:
        """Whether what the graph computes does not allow these shapes of a sample."""
        return self._inference.contradicted(self._full(shapes))

    def values(self, spec: TensorSpec, shapes: Shapes) -> list[Values]:
        """Values to try for an input."""
        sizes = [
            size
            for other in self._specs
            if other is not spec
            for size in shapes[other.name]
            if size > 1
        ]
        sums = [a + b for a, b in combinations(dict.fromkeys(sizes), 2)]
        uses = self.uses[spec.name]
        tensors = self._inference.shapes(self._full(shapes)) if uses.rows else {}
        around = Around(shapes[spec.name], tensors, tuple(dict.fromkeys(sizes + sums)))
        of_role = values_of_role(spec, uses, around)
        if of_role:
            if self._limits is not None:
                self.unranged.add(spec.name)
            return of_role
        (channel_axis,) = image_axes(spec)[0] if is_image(spec) else (len(spec.shape or ()) - 1,)
        usual = noise_of(spec, is_image(spec), channel_axis - max(1, len(spec.shape or ())))
        if self._limits is None:
            return usual
        ranged = within_limits(spec, usual[0], self._limits)
        if ranged is None:
            low, high = self._limits
            raise DataError(
                f"input_range {low:g} to {high:g} holds no value of input {spec.name!r}, which is "
                f"{spec.dtype}: give another range."
            )
        return [ranged]

    def _full(self, shapes: Shapes) -> dict[str, tuple[int, ...]]:
        """The shapes of a feed of one sample."""
        assert self.layout is not None
        if self.layout.whole:
            return dict(shapes)
        return {
            spec.name: (spec.shape[0] or 1, *shapes[spec.name]) if spec.shape else ()
            for spec in self._specs
        }
