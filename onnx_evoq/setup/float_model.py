"""The model that is worked on, and its weights."""

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
from onnx_evoq.setup.model_run import run_model
from onnx_evoq.setup.resources import Resources

# Folding is exact but for the order of float32 (or float16) operations.
_SAME = {"float32": 1e-3, "float16": 2e-2}


@dataclass(frozen=True)
class FloatModel:
    """A model to quantize.

    Attributes:
        reference: the float model as it came.
        model: the same with BatchNormalization folded.
        weights: its weights, without those that stay float.
        keep: the patterns of those.
        notes: sentences that a user should read.
    """

    reference: Model
    model: Model
    weights: list[Weight]
    keep: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_float_model(model: str | Path | Model, keep: Iterable[str]) -> FloatModel:
    """Load a model, fold BatchNormalization and find the weights.

    Raises:
        ModelError: it cannot be used, has no weights, or one that holds NaN or infinity.
        OptionError: a pattern of `keep` matches no weight.
    """
    reference, keep = load(model), tuple(keep)
    folded, _ = fold_batch_norm(reference)
    weights, _ = find_weights(folded)
    if not weights:
        raise ModelError(
            f"{name_of(model)}: has no weights to quantize (float32 or float16 constants of Conv, "
            "ConvTranspose, Gemm, MatMul, Gather or recurrent operators); "
            "onnx-evoq inspect says why each initializer is none."
        )
    left = leave_out(weights, keep)
    check_finite(left)
    return FloatModel(reference, folded, left, keep)


def fold_if_exact(
    float_model: FloatModel, calibration: Calibration, resources: Resources
) -> FloatModel:
    """The subject as it is, or without folding where that would change the outputs."""
    if computes_the_same(float_model.model, float_model, calibration, resources):
        return float_model
    weights, _ = find_weights(float_model.reference)
    return replace(
        float_model,
        model=float_model.reference,
        weights=leave_out(weights, float_model.keep),
        notes=("BatchNormalization was not folded, since that would have changed the outputs.",),
    )


def computes_the_same(
    model: Model, float_model: FloatModel, calibration: Calibration, resources: Resources
) -> bool:
    """Whether a model has the outputs of the subject's reference, but for the order of sums."""
    batch = calibration.search.batches[0]
    outputs = [next(run_model(each, [batch], resources)) for each in (model, float_model.reference)]
    allowed = max(_SAME[weight.dtype] for weight in float_model.weights)
    return largest_difference(*outputs) <= allowed  # not so if it is NaN
