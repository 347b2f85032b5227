"""The float model that is quantized, and its weights."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import largest_difference
from onnx_evoq.model import (
    Model,
    Weight,
    check_finite,
    find_weights,
    fold_batch_norm,
    fold_constants,
    holds_half,
    load,
    name_of,
    quantized_operators,
    types_of_activations,
    weights_before,
)
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.grids import leave_out
from onnx_evoq.setup.scoring import NO_POINTS, Points, score_at_points
from onnx_evoq.setup.sessions import (
    DEFAULT_RESOURCES,
    Resources,
    own_options,
    run_model,
    with_integer_weights,
)

# Folding changes only the order of operations, and so the rounding of their results.
_FOLD_TOLERANCE = {"float32": 1e-3, "float16": 2e-2}
_COARSE_TOLERANCE = 2e-2  # where the model itself computes with codes, or in half precision

_NAMES = 3  # weights that a note lists
# Which read codes of weights, and floats of all else.
_OF_WEIGHTS = {"DequantizeLinear", "GatherBlockQuantized", "MatMulBnb4", "MatMulNBits"}

_UNFOLDED = "was not folded, since that would have changed the outputs."


@dataclass(frozen=True)
class FloatModel:
    """The float model that is quantized.

    Attributes:
        reference: the model as the user gave it; its outputs are the reference for all others.
        model: the same model with constants and BatchNormalization folded; its weights are
            quantized. Its operator set is older where ONNX Runtime has no integer weights in the
            user's.
        weights: the weights of `model` that are quantized, and have an effect on its outputs.
        keep: patterns of the weights that stay float.
        folded: the names of the BatchNormalization nodes that are folded in `model`.
        notes: sentences that a user should read.
        unfolded: what `model` was before each folding, the last one first, with a note for the user
            whose model that stays.
        behind: the weights that are quantized, but have no effect there: nothing scores them.
        points: where it is scored: these tensors are the outputs of all these models.
        scored_before: opens the model again, to be scored before a tensor whose rows vary; None if
            the user said where it is scored.
    """

    reference: Model
    model: Model
    weights: list[Weight]
    keep: tuple[str, ...]
    folded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfolded: tuple[tuple[Model, str], ...] = ()
    behind: tuple[Weight, ...] = ()
    points: Points = NO_POINTS
    scored_before: Callable[[str], "FloatModel"] | None = None

    @property
    def every_weight(self) -> list[Weight]:
        """All weights that are quantized."""
        return [*self.weights, *self.behind]


def open_float_model(
    model: str | Path | Model,
    keep: Iterable[str],
    *,
    form: str = "qdq",
    requantize: bool = False,
    score_at: Sequence[str] = (),
    resources: Resources = DEFAULT_RESOURCES,
    varying: Collection[str] = (),
) -> FloatModel:
    """Load a model, fold constants and BatchNormalization, and find the weights.

    Args:
        model: the model, or its file.
        keep: patterns of weights that stay float, or as they are.
        form: of the emitted model: ONNX Runtime must be able to run it with integer weights, unless
            it is "float"; and layers must be floats if it is "c" or "qonnx".
        requantize: whether weights that are quantized already are quantized anew.
        score_at: tensors at which the model is scored; none for its outputs, or, where these cannot
            be compared, for tensors before them.
        resources: what a session may use.
        varying: tensors whose rows were found to vary.

    Raises:
        ModelError: the model cannot be used, has no weights, or a weight holds NaN or infinity; or
            there is nothing at which it could be scored.
        OptionError: a pattern of `keep` matches no weight; or there is no such tensor to score at.
    """
    reference, keep = load(model), tuple(keep)

    def scored_before(tensor: str) -> FloatModel:
        return open_float_model(
            model, keep, form=form, requantize=requantize, resources=resources,
            varying={*varying, tensor},
        )  # fmt: skip

    lowered, notes = reference, list[str]()
    if form != "float":
        lowered, notes = with_integer_weights(reference, name_of(model))
    constants = fold_constants(lowered, requantize=requantize)
    if form in ("c", "qonnx"):
        check_all_float(constants.model, f"format {form}")
    weights, _ = find_weights(constants.model)
    if not weights:
        raise ModelError(_no_weights(reference, name_of(model), requantize))
    names_of_weights = [weight.name for weight in weights]
    points = score_at_points(
        constants.model, name_of(model), names_of_weights, resources, score_at, varying
    )
    if points.own is not None:
        for each in (reference, lowered):
            points.own.replaced(each)
    folded, names = fold_batch_norm(constants.model)
    weights, _ = find_weights(folded)
    quantized = leave_out(weights, keep)
    kept = {weight.name for weight in weights} - {weight.name for weight in quantized}
    if kept.intersection(constants.grown):  # as floats of their own they would take more room
        constants = fold_constants(lowered, requantize=requantize, leave=kept)
        folded, names = fold_batch_norm(constants.model)
        of_names = {weight.name for weight in quantized}
        quantized = [weight for weight in find_weights(folded)[0] if weight.name in of_names]
    check_finite(quantized)
    unfolded = []
    if names:
        unfolded.append((constants.model, f"BatchNormalization {_UNFOLDED}"))
    if constants.model is not lowered:
        unfolded.append((lowered, f"What depends on constants alone {_UNFOLDED}"))
    opened = FloatModel(
        reference, folded, quantized, keep, tuple(names), (*points.notes, *notes),
        tuple(unfolded), points=points, scored_before=None if score_at else scored_before,
    )  # fmt: skip
    return _with_seen_weights(opened, quantized)


def _with_seen_weights(float_model: FloatModel, quantized: Sequence[Weight]) -> FloatModel:
    """The same with the weights put apart that have no effect on where the model is scored.

    Raises:
        ModelError: no weight has.
    """
    names, points = [weight.name for weight in quantized], float_model.points.names
    seen = weights_before(float_model.model, names, points)
    behind = [weight for weight in quantized if weight.name not in seen]
    if not seen:
        raise ModelError(
            f"no weight that is quantized has an effect on {', '.join(map(repr, points))}: score "
            "the model elsewhere (--score-at), or keep fewer weights."
        )
    note: tuple[str, ...] = ()
    if behind:
        names = [weight.name for weight in behind]
        note = (
            f"{len(behind)} of {len(quantized)} weights have no effect on where the model is "
            f"scored, so that no score sees them: {', '.join(names[:_NAMES])}"
            f"{', ...' if len(names) > _NAMES else ''}.",
        )
    return replace(
        float_model,
        weights=[weight for weight in quantized if weight.name in seen],
        behind=tuple(behind),
        notes=tuple(dict.fromkeys((*float_model.notes, *note))),
    )


def _no_weights(model: Model, name: str, requantize: bool) -> str:
    """The message about a model without weights to quantize."""
    operators = quantized_operators(model)
    if not operators:
        others = find_weights(model)[1]
        if not others:
            why = "it has no initializers, and weights in attributes of nodes are not taken"
        else:
            largest = max(others, key=lambda each: math.prod(each.shape))
            why = f"its largest initializer is {largest.name!r} ({largest.reason})"
        return (
            f"{name}: has no weights to quantize, which are float32 or float16 constants of "
            f"layers: {why}; onnx-evoq inspect lists all of them."
        )
    remedy = "give the float model that it was made from"
    if not requantize and find_weights(fold_constants(model, requantize=True).model)[0]:
        remedy += ", or have its weights quantized anew (--requantize)"
    return (
        f"{name}: already quantized (it holds {operators[0]} nodes), and no weight is float: "
        f"{remedy}."
    )


def check_all_float(model: Model, what: str, *, weights: bool = True) -> None:
    """Check that no layer of a model is quantized already.

    Args:
        model: the model that is quantized.
        what: what needs floats, in messages.
        weights: whether weights must be floats, too, and not only activations.

    Raises:
        ModelError: a layer is quantized.
    """
    found = [name for name in quantized_operators(model) if weights or name not in _OF_WEIGHTS]
    if found:
        anew = "have its weights quantized anew (--requantize), " * (found == ["DequantizeLinear"])
        raise ModelError(
            f"{what} needs a model of floats alone, and this one holds {found[0]} nodes: give the "
            f"float model that it was made from, {anew}or leave the option out."
        )


def undo_inexact_folding(
    float_model: FloatModel, calibration: Calibration, resources: Resources
) -> FloatModel:
    """Undo the folding of constants and BatchNormalization if it changes the model's outputs.

    Args:
        float_model: the model, folded.
        calibration: the samples; the first batch is run.
        resources: what the runs may use.

    Returns:
        A model whose folding is exact, without what it was before; with a note if some is undone.

    Raises:
        ModelError: the model computes something else in its older operator set, or its weights
            cannot be quantized anew.
    """

    def exact(model: Model) -> bool:
        same = model is float_model.reference
        return same or computes_the_same(model, float_model, calibration, resources)

    if exact(float_model.model):
        return replace(float_model, unfolded=())
    for model, note in float_model.unfolded:
        weights, _ = find_weights(model)
        if weights and exact(model):
            undone = replace(
                float_model,
                model=model,
                folded=(),
                notes=(*float_model.notes, note),
                unfolded=(),
            )
            return _with_seen_weights(undone, leave_out(weights, float_model.keep))
    if any(not find_weights(model)[0] for model, _ in float_model.unfolded):
        raise ModelError(
            "weights change the outputs once their codes are floats: do not requantize."
        )
    raise ModelError(
        "ONNX Runtime has no integer weights in the model's operator set, and in an older one "
        "the outputs change: export the model with an older operator set."
    )


def computes_the_same(
    model: Model, float_model: FloatModel, calibration: Calibration, resources: Resources
) -> bool:
    """Whether a model has the reference's outputs on the first batch, up to rounding.

    Args:
        model: a rewritten form of the float model.
        float_model: the float model with its reference.
        calibration: the samples.
        resources: what the runs may use.
    """
    scoring = calibration.search_set
    assert scoring.criterion.reference is not None  # the outputs of the float model
    outputs = next(run_model(model, scoring.batches[:1], resources, options=own_options(model)))
    allowed = max(_FOLD_TOLERANCE[weight.dtype] for weight in float_model.weights)
    reference = float_model.reference
    if types_of_activations(reference) or holds_half(reference):
        allowed = max(allowed, _COARSE_TOLERANCE)
    return largest_difference(outputs, scoring.criterion.reference[0]) <= allowed  # false for NaN
