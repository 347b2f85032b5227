"""Let a model have the tensors at which it is scored as its outputs.

Where all outputs can be compared these are the outputs. Else they are tensors before the part whose
rows, order or types depend on values, as `find_scoring_points` says, or those that a user chose.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from onnx_evoq.array_types import Arrays
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import Criterion
from onnx_evoq.model import (
    Model,
    Output,
    Runnable,
    ScoringPoints,
    chosen_points,
    find_scoring_points,
    outputs_at,
    outputs_of_model,
    replace_outputs,
    restore_outputs,
    stored_weights,
    weights_before,
    with_outputs,
)
from onnx_evoq.setup.sessions import Resources, open_session

_NAMES = 4  # that a note lists


@dataclass(frozen=True, eq=False)
class OwnOutputs:
    """The outputs that a model has, while it is scored at other tensors.

    Attributes:
        outputs: as the model states them.
        scored: the tensors at which it is scored, as outputs.
        unlike: the names of the outputs that have no array of one shape for each sample.
        runs: whether ONNX Runtime has all operators behind the tensors that are scored.
    """

    outputs: Sequence[Output]
    scored: Sequence[Output]
    unlike: frozenset[str] = frozenset()
    runs: bool = True

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the tensors at which it is scored."""
        return tuple(output.name for output in self.scored)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(output.name for output in self.outputs)

    def beside(self, model: Runnable) -> Runnable:
        """A model that gives the tensors at which it is scored, and its own outputs."""
        return with_outputs(model, tuple(dict.fromkeys((*self.points, *self.names))))

    def apart_in(self, criterion: Criterion) -> Criterion:
        """A criterion whose reference holds both, which are put apart."""

        def some(names: Sequence[str]) -> list[Arrays]:
            return [{name: part[name] for name in names} for part in criterion.reference or ()]

        return replace(
            criterion, reference=some(self.points), own=some(self.names), unlike=self.unlike
        )

    def replaced(self, model: Model) -> Model:
        """A form of the model whose outputs are the tensors at which it is scored, in place."""
        replace_outputs(model, self.scored, self.outputs)
        return model

    def restored(self, model: Model) -> Model:
        """A model with its own outputs again, in place."""
        restore_outputs(model, self.outputs)
        return model


@dataclass(frozen=True)
class Points:
    """Where a model is scored.

    Attributes:
        names: the tensors.
        own: the outputs that the model has; None if it is scored at these.
        custom: the tensors behind custom operators: only runs show whether their rows vary.
        notes: sentences that a user should read.
    """

    names: tuple[str, ...]
    own: OwnOutputs | None = None
    custom: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


NO_POINTS = Points(())


def score_at_points(
    model: Model,
    name: str,
    weights: Sequence[str],
    resources: Resources,
    score_at: Sequence[str] = (),
    varying: Collection[str] = (),
) -> Points:
    """Let a model have the tensors at which it is scored as its outputs, in place.

    Args:
        model: a model as `load` returns it.
        name: its name in messages.
        weights: names of its weights.
        resources: what a session may use.
        score_at: the tensors; none to find them.
        varying: tensors whose rows were found to vary.

    Raises:
        ModelError: no output can be compared, and no tensor of floats lies before them; or ONNX
            Runtime lacks an operator, and weights lie behind it.
        OptionError: a tensor of `score_at` is none of the model, or none of floats.
    """
    found = _points(model, weights, resources, score_at, varying)
    while not score_at and (lacking := _not_loaded(model, found.custom, resources)):
        varying = {*varying, *lacking}
        found = _points(model, weights, resources, score_at, varying)
        if weights_before(model, weights, found.names) < weights_before(model, weights, lacking):
            open_session(with_outputs(model, lacking), resources, name)  # raises the error
    if not found.names:
        listed = "; ".join(f"{output!r}: {why}" for output, why in found.instead.items())
        raise ModelError(
            f"{name}: no output can be compared ({listed}), and no tensor of floats lies before "
            "them that weights have an effect on: name some (--score-at), or export the model "
            "without the part that selects."
        )
    own, custom = outputs_of_model(model), frozenset(found.custom)
    if found.names == tuple(value.name for value in own):
        return Points(found.names, custom=custom)
    scored = outputs_at(own, found.names, found.types)
    replace_outputs(model, scored, own)
    notes = () if score_at else (_note(found),)
    runs = not _not_loaded(model, found.own_custom, resources)
    of_model = OwnOutputs(own, scored, frozenset(found.unlike), runs)
    return Points(found.names, of_model, custom, notes)


def points_of(
    model: Model, name: str, resources: Resources, score_at: Sequence[str] = ()
) -> Points:
    """Let a model of any kind, a quantized one for example, have these outputs, in place.

    The arguments are those of `score_at_points`.
    """
    return score_at_points(model, name, stored_weights(model), resources, score_at)


def _points(
    model: Model,
    weights: Sequence[str],
    resources: Resources,
    score_at: Sequence[str],
    varying: Collection[str],
) -> ScoringPoints:
    """The points of a model; ONNX Runtime tells types that shape inference does not know."""
    types: dict[str, str] = {}
    while True:
        if score_at:
            found = chosen_points(model, weights, score_at, types)
        else:
            found = find_scoring_points(model, weights, types, varying)
        if not found.untyped:
            return found
        lacking = _not_loaded(model, found.untyped, resources)
        types |= dict.fromkeys(lacking, "")
        if known := [name for name in found.untyped if name not in lacking]:
            session = open_session(with_outputs(model, known), resources)
            types |= {name: session.floats.get(name, "") for name in known}


def _not_loaded(model: Model, names: Sequence[str], resources: Resources) -> list[str]:
    """Those of some tensors behind custom operators that ONNX Runtime cannot compute here."""

    def fails(some: Sequence[str]) -> bool:
        try:
            open_session(with_outputs(model, some), resources)
        except ModelError:  # it has no such operator
            return True
        return False

    return [name for name in names if fails([name])] if names and fails(names) else []


def _note(found: ScoringPoints) -> str:
    """Which outputs are not compared, why, and what is in their place."""
    reasons: dict[str, list[str]] = {}
    for output, why in found.instead.items():
        reasons.setdefault(why, []).append(output)
    listed = "; ".join(f"{_quoted(names)} ({why})" for why, names in reasons.items())
    return (
        f"outputs that cannot be compared: {listed}: scored at {_quoted(found.names)} (--score-at "
        "chooses others)."
    )


def _quoted(names: Sequence[str]) -> str:
    listed = ", ".join(repr(name) for name in names[:_NAMES])
    return f"{listed} and {len(names) - _NAMES} more" if len(names) > _NAMES else listed
