"""The float model that is quantized, and its weights."""

from collections.abc import Iterable
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
    load,
    name_of,
    quantized_operators,
    types_of_activations,
)
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.grids import leave_out
from onnx_evoq.setup.sessions import Resources, own_options, run_model, with_integer_weights

# Folding changes only the order of operations, and so the rounding of their results.
_FOLD_TOLERANCE = {"float32": 1e-3, "float16": 2e-2}
_CODES_TOLERANCE = 2e-2  # where the model rounds activations itself

_UNFOLDED = "was not folded, since that would have changed the outputs."


@dataclass(frozen=True)
class FloatModel:
    """The float model that is quantized.

    Attributes:
        reference: the model as the user gave it; its outputs are the reference for all others.
        model: the same model with constants and BatchNormalization folded; its weights are
            quantized. Its operator set is older where ONNX Runtime has no integer weights in the
            user's.
        weights: the weights of `model` that are quantized.
        keep: patterns of the weights that stay float.
        folded: the names of the BatchNormalization nodes that are folded in `model`.
        notes: sentences that a user should read.
        unfolded: what `model` was before each folding, the last one first, with a note for the user
            whose model that stays.
    """

    reference: Model
    model: Model
    weights: list[Weight]
    keep: tuple[str, ...]
    folded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfolded: tuple[tuple[Model, str], ...] = ()


def open_float_model(
    model: str | Path | Model,
    keep: Iterable[str],
    *,
    integers: bool = True,
    requantize: bool = False,
) -> FloatModel:
    """Load a model, fold constants and BatchNormalization, and find the weights.

    Args:
        model: the model, or its file.
        keep: patterns of weights that stay float, or as they are.
        integers: whether ONNX Runtime must be able to run the model with integer weights.
        requantize: whether weights that are quantized already are quantized anew.

    Raises:
        ModelError: the model cannot be used, has no weights, or a weight holds NaN or infinity.
        OptionError: a pattern of `keep` matches no weight.
    """
    reference, keep = load(model), tuple(keep)
    lowered, notes = reference, list[str]()
    if integers:
        lowered, notes = with_integer_weights(reference, name_of(model))
    constants = fold_constants(lowered, requantize=requantize)
    folded, names = fold_batch_norm(constants.model)
    weights, _ = find_weights(folded)
    if not weights:
        raise ModelError(_no_weights(reference, name_of(model), requantize))
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
    return FloatModel(
        reference, folded, quantized, keep, tuple(names), tuple(notes), tuple(unfolded)
    )


def _no_weights(model: Model, name: str, requantize: bool) -> str:
    """The message about a model without weights to quantize."""
    operators = quantized_operators(model)
    if not operators:
        return (
            f"{name}: has no weights to quantize (float32 or float16 constants of Conv, "
            "ConvTranspose, Gemm, MatMul, Gather or recurrent operators); "
            "onnx-evoq inspect says why each initializer is none."
        )
    remedy = "give the float model that it was made from"
    if not requantize and find_weights(fold_constants(model, requantize=True).model)[0]:
        remedy += ", or have its weights quantized anew (--requantize)"
    return (
        f"{name}: already quantized (it holds {operators[0]} nodes), and no weight is float: "
        f"{remedy}."
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
            return replace(
                float_model,
                model=model,
                weights=leave_out(weights, float_model.keep),
                folded=(),
                notes=(*float_model.notes, note),
                unfolded=(),
            )
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
    if types_of_activations(float_model.reference):
        allowed = max(allowed, _CODES_TOLERANCE)
    return largest_difference(outputs, scoring.criterion.reference[0]) <= allowed  # false for NaN
