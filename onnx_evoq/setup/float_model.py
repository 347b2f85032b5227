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
    load,
    name_of,
)
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.grids import leave_out
from onnx_evoq.setup.sessions import Resources, run_model, with_integer_weights

# Folding changes only the order of operations, and so the rounding of their results.
_FOLD_TOLERANCE = {"float32": 1e-3, "float16": 2e-2}


@dataclass(frozen=True)
class FloatModel:
    """The float model that is quantized.

    Attributes:
        reference: the model as the user gave it; its outputs are the reference for all others.
        model: the same model with BatchNormalization folded; its weights are quantized. Its
            operator set is older where ONNX Runtime has no integer weights in the user's.
        unfolded: `model` before the folding; None if that is the reference.
        weights: the weights of `model` that are quantized.
        keep: patterns of the weights that stay float.
        folded: the names of the BatchNormalization nodes that are folded in `model`.
        notes: sentences that a user should read.
    """

    reference: Model
    model: Model
    weights: list[Weight]
    keep: tuple[str, ...]
    folded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfolded: Model | None = None


def open_float_model(
    model: str | Path | Model, keep: Iterable[str], *, integers: bool = True
) -> FloatModel:
    """Load a model, fold BatchNormalization and find the weights.

    Args:
        model: the model, or its file.
        keep: patterns of weights that stay float.
        integers: whether ONNX Runtime must be able to run the model with integer weights.

    Raises:
        ModelError: the model cannot be used, has no weights, or a weight holds NaN or infinity.
        OptionError: a pattern of `keep` matches no weight.
    """
    reference, keep = load(model), tuple(keep)
    unfolded, notes = reference, list[str]()
    if integers:
        unfolded, notes = with_integer_weights(reference, name_of(model))
    folded, names = fold_batch_norm(unfolded)
    weights, _ = find_weights(folded)
    if not weights:
        raise ModelError(
            f"{name_of(model)}: has no weights to quantize (float32 or float16 constants of Conv, "
            "ConvTranspose, Gemm, MatMul, Gather or recurrent operators); "
            "onnx-evoq inspect says why each initializer is none."
        )
    quantized = leave_out(weights, keep)
    check_finite(quantized)
    return FloatModel(reference, folded, quantized, keep, tuple(names), tuple(notes), unfolded)


def undo_inexact_folding(
    float_model: FloatModel, calibration: Calibration, resources: Resources
) -> FloatModel:
    """Undo the folding of BatchNormalization if it changes the model's outputs.

    Args:
        float_model: the model, folded.
        calibration: the samples; the first batch is run.
        resources: what the runs may use.

    Returns:
        `float_model` itself, or one whose `model` is not folded, with a note.

    Raises:
        ModelError: the model computes something else in its older operator set.
    """

    def exact(model: Model) -> bool:
        same = model is float_model.reference
        return same or computes_the_same(model, float_model, calibration, resources)

    unfolded = float_model.unfolded or float_model.reference
    if exact(float_model.model):
        return float_model
    if not float_model.folded or not exact(unfolded):
        raise ModelError(
            "ONNX Runtime has no integer weights in the model's operator set, and in an older one "
            "the outputs change: export the model with an older operator set."
        )
    weights, _ = find_weights(unfolded)
    note = "BatchNormalization was not folded, since that would have changed the outputs."
    return replace(
        float_model,
        model=unfolded,
        weights=leave_out(weights, float_model.keep),
        notes=(*float_model.notes, note),
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
    outputs = next(run_model(model, scoring.batches[:1], resources))
    allowed = max(_FOLD_TOLERANCE[weight.dtype] for weight in float_model.weights)
    return largest_difference(outputs, scoring.criterion.reference[0]) <= allowed  # false for NaN
