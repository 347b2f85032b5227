"""`optimize` with the arguments of ONNX Runtime's `quantize_static`."""

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from onnx_evoq.api import optimize
from onnx_evoq.errors import OptionError
from onnx_evoq.report import Result
from onnx_evoq.setup import Grid

_ACTIVATION_BITS = {"QUInt8": 8, "QInt8": 8, "QUInt16": 16, "QInt16": 16}
_WEIGHT_BITS = {"QInt8": 8, "QInt4": 4}
_SAME = {"WeightSymmetric": True, "AddQDQPairToWeight": False}  # with these values, as here
# They say how ranges are found.
_CALIBRATION = (
    "ActivationRestrictedAsymmetric", "CalibMaxIntermediateOutputs", "CalibMovingAverage",
    "CalibMovingAverageConstant", "CalibStridedMinMax", "CalibTensorRangeSymmetric",
    "MinimumRealRange", "SmoothQuant", "SmoothQuantAlpha", "SmoothQuantFolding",
)  # fmt: skip


def quantize_static(
    model_input: Any,
    model_output: str | Path,
    calibration_data_reader: Any = None,
    *,
    bits: int | None = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    activation_type: Any = "QUInt8",
    weight_type: Any = "QInt8",
    nodes_to_exclude: Sequence[str] | None = None,
    extra_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    """Quantize weights and activations as `optimize` does, and write the model.

    The arguments are those of `onnxruntime.quantization.quantize_static`, as far as they mean the
    same here; scales are any numbers, as there. What says how ranges are found is refused, since
    the error of the outputs decides that here.

    Args:
        model_input: the path of the float model, or an `onnx.ModelProto`.
        model_output: the file to write.
        calibration_data_reader: a `CalibrationDataReader`, or any data that `optimize` takes. None
            draws synthetic inputs.
        bits: width of the codes of weights, 2 to 8, held as INT8; None for that of `weight_type`.
        per_channel: whether each output channel has a scale of its own.
        reduce_range: whether weights have 7 bits, for CPUs whose kernels saturate with 8.
        activation_type: `QuantType.QUInt8`, `QInt8`, `QUInt16`, `QInt16`, or its name.
        weight_type: `QuantType.QInt8` or `QInt4` (4 bits, held as INT8), or its name.
        nodes_to_exclude: names of nodes whose weights stay float.
        extra_options: `ActivationSymmetric` (with QInt8: zero points of 0, biases that stay float)
            and `WeightSymmetric`.
        options: as in `optimize`: `time_budget`, `strategy`, `metric`, `target`, `seed` and others.

    Returns:
        What `optimize` returns.

    Raises:
        OptionError: an argument has no meaning here.
        ModelError: the model cannot be read, run or quantized.
        DataError: the data cannot be read, or do not fit the model.
        OutputError: the file cannot be written.

    Example:
        >>> from onnx_evoq import quantize_static
        >>> quantize_static("model.onnx", "model.int8.onnx", reader)  # doctest: +SKIP
    """
    activation, weight = _name_of(activation_type), _name_of(weight_type)
    _one_of("activation_type", activation, _ACTIVATION_BITS)
    _one_of("weight_type", weight, _WEIGHT_BITS)
    symmetric = _is_symmetric(extra_options or {}, activation)
    if bits is None:
        bits = 7 if reduce_range and weight == "QInt8" else _WEIGHT_BITS[weight]
    if activation.startswith("QInt"):
        options.setdefault("target", "tensorrt" if symmetric else "onnxruntime-arm")
    grid = Grid(
        "channel" if per_channel else "tensor", "float", tuple(nodes_to_exclude or ()),
        activations=_ACTIVATION_BITS[activation], activation_scale="float",
    )  # fmt: skip
    known = signature(optimize).parameters
    for name in options:
        if name not in known or name in ("grid", "policy", "format"):
            raise OptionError(
                f"{name} has no meaning for quantize_static here: leave it out, or call optimize."
            )
    result = optimize(model_input, calibration_data_reader, bits=bits, grid=grid, **options)
    result.save(model_output)
    return result


def _name_of(quant_type: Any) -> str:
    """The name of a `QuantType`, or the name itself."""
    return str(getattr(quant_type, "name", quant_type))


def _one_of(argument: str, name: str, known: Mapping[str, int]) -> None:
    if name not in known:
        raise OptionError(f"{argument} {name} is not for models here: choose {' or '.join(known)}.")


def _is_symmetric(extra_options: Mapping[str, Any], activation: str) -> bool:
    """Whether zero points of activations are 0; other extra options are refused."""
    for name, value in extra_options.items():
        if name == "ActivationSymmetric" or value == _SAME.get(name, ()):
            continue
        why = "has no meaning here"
        if name in _CALIBRATION:
            why = "says how ranges are found, which the error of the outputs decides here"
        raise OptionError(f"extra option {name} {why}: leave it out.")
    symmetric = bool(extra_options.get("ActivationSymmetric", False))
    if symmetric and activation != "QInt8":
        raise OptionError(
            f"ActivationSymmetric does not go with activation_type {activation}: choose QInt8."
        )
    return symmetric
