"""`optimize` with the arguments of ONNX Runtime's `quantize_static`."""

import re
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

from onnx_evoq.api import DataSource, ModelSource, optimize
from onnx_evoq.drop_in.activation_type import (
    ACTIVATION_BITS,
    Named,
    check_type,
    name_of,
    target_of,
)
from onnx_evoq.errors import OptionError
from onnx_evoq.model import find_weights, fold_constants, load
from onnx_evoq.report import Result
from onnx_evoq.setup import Grid, check_bits
from onnx_evoq.targets import Target, TargetName

_WEIGHT_BITS = {"QInt8": 8, "QInt4": 4}
_REDUCED_BITS = 7

_RANGES = "the error of the outputs decides how ranges are found"
# Arguments of ONNX Runtime that are accepted at their defaults, and why not otherwise.
_AT_DEFAULT = {
    "calibrate_method": _RANGES,
    "calibration_cache_path": _RANGES,
    "calibration_providers": "samples run on the CPU",
    "nodes_to_quantize": "only nodes that stay float are named, as nodes_to_exclude",
    "op_types_to_quantize": "all operators become integers that have integer kernels",
}
# Arguments of `optimize` that others stand for.
_STAND_INS = {
    "data": "calibration_data_reader",
    "format": "quant_format",
    "grid": "per_channel, activation_type and nodes_to_exclude",
    "model": "model_input",
    "policy": "bits",
}
# Extra options about ranges, and others that are off here.
_CALIBRATION = (
    "ActivationRestrictedAsymmetric", "CalibMaxIntermediateOutputs", "CalibMovingAverage",
    "CalibMovingAverageConstant", "CalibStridedMinMax", "CalibTensorRangeSymmetric",
    "MinimumRealRange", "SmoothQuant", "SmoothQuantAlpha", "SmoothQuantFolding",
)  # fmt: skip
_OFF = (
    "AddQDQPairToWeight", "DedicatedQDQPair", "EnableSubgraph", "ForceQuantizeNoInputCheck",
    "UseQDQContribOps",
)  # fmt: skip


def quantize_static(
    model_input: ModelSource,
    model_output: str | Path,
    calibration_data_reader: DataSource = None,
    *,
    bits: int | None = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    activation_type: Named | str | None = None,
    weight_type: Named | str = "QInt8",
    nodes_to_exclude: Sequence[str] | None = None,
    extra_options: Mapping[str, object] | None = None,
    use_external_data_format: bool = False,
    **options: Any,
) -> Result:
    """Quantize weights and activations as `optimize` does, and write the model.

    The arguments are those of `onnxruntime.quantization.quantize_static`, as far as they mean the
    same here; scales are any numbers, as there, or powers of two for a `target` that takes no
    others. What says how ranges are found is refused, since the error of the outputs decides that
    here.

    Args:
        model_input: the path of the float model, or an `onnx.ModelProto`.
        model_output: the file to write.
        calibration_data_reader: a `CalibrationDataReader`, or any data that `optimize` takes. None
            draws synthetic inputs.
        bits: width of the codes of weights, from 2 to that of `weight_type`, held as INT8; None for
            the widest.
        per_channel: whether each output channel has a scale of its own.
        reduce_range: whether weights have 7 bits at most, for CPUs whose kernels saturate with 8.
        activation_type: `QuantType.QUInt8`, `QInt8`, `QUInt16`, `QInt16`, or its name; None for 8
            bits in the type that the target takes, which is QUInt8 without a target.
        weight_type: `QuantType.QInt8` or `QInt4` (4 bits, held as INT8), or its name.
        nodes_to_exclude: names of nodes with weights; these nodes stay float.
        extra_options: `ActivationSymmetric` (signed codes with zero points of 0; without a target,
            biases stay float) and `WeightSymmetric`, which is true in any case. Others that ONNX
            Runtime has are accepted where they turn off what is off here.
        use_external_data_format: whether the values of large tensors are written to a second file,
            of the same name with ".data" at the end. It is true in any case where the float model
            has such a file, and where the model is larger than 2 GB.
        options: as in `optimize`: `time_budget`, `strategy`, `metric`, `target`, `seed` and others.
            Further arguments of ONNX Runtime are accepted at their defaults, except
            `calibrate_method`.

    Returns:
        What `optimize` returns.

    Raises:
        OptionError: an argument has no meaning here, or contradicts another one or the target.
        ModelError: the model cannot be read, run or quantized.
        DataError: the data cannot be read, or do not fit the model.
        OutputError: the file cannot be written.

    Example:
        >>> from onnx_evoq import quantize_static
        >>> quantize_static("model.onnx", "model.int8.onnx", reader)  # doctest: +SKIP
    """
    own = _own_options(options)
    activation = None if activation_type is None else name_of(activation_type)
    if activation is not None:
        check_type("activation_type", activation, ACTIVATION_BITS)
    weight = name_of(weight_type)
    check_type("weight_type", weight, _WEIGHT_BITS)
    symmetric = _is_symmetric(extra_options or {})
    target = target_of(own.pop("target", None), activation, symmetric)
    _check_form(options.get("quant_format"), target)
    if per_channel and "channel" not in target.granularities:
        raise OptionError(
            f"per_channel does not go with target {target.name}, which takes one scale for each "
            "tensor: leave per_channel out."
        )
    width = _width(bits, weight, reduce_range, own)
    grid = Grid(
        "channel" if per_channel else "tensor",
        "float" if "float" in target.scales else "pow2",
        _patterns(model_input, nodes_to_exclude, bool(own.get("requantize"))),
        activations=8 if activation is None else ACTIVATION_BITS[activation],
        activation_scale="float" if "float" in target.activation_scales else "pow2",
    )
    result = optimize(
        model_input, calibration_data_reader, bits=width, grid=grid,
        target=cast(TargetName, target.name), **own,
    )  # fmt: skip
    result.save(model_output, external_data=use_external_data_format or None)
    return result


def _own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `optimize`; those of ONNX Runtime are refused unless at their defaults."""
    known = signature(optimize).parameters
    for name, value in options.items():
        if name in _AT_DEFAULT and value:
            raise OptionError(
                f"{name} has no meaning here, since {_AT_DEFAULT[name]}: leave it out."
            )
        if name in _STAND_INS:
            raise OptionError(
                f"{name} is an argument of optimize: give {_STAND_INS[name]} here, or call "
                "optimize."
            )
        if name not in known and name not in _AT_DEFAULT and name != "quant_format":
            raise OptionError(f"{name} has no meaning for quantize_static here: leave it out.")
    return {name: value for name, value in options.items() if name in known}


def _is_symmetric(extra_options: Mapping[str, object]) -> bool | None:
    """What `ActivationSymmetric` says, None for nothing; other extra options are refused."""
    for name, value in extra_options.items():
        off = value is None or value is False
        if name == "ActivationSymmetric" or (off and name in _CALIBRATION + _OFF):
            continue
        if name == "WeightSymmetric" and not value:
            raise OptionError(
                f"extra option WeightSymmetric {value} has no meaning here, since weights are "
                "symmetric in any case: leave it out."
            )
        if name != "WeightSymmetric":
            why = f", since {_RANGES}" if name in _CALIBRATION else ""
            raise OptionError(f"extra option {name} has no meaning here{why}: leave it out.")
    asked = extra_options.get("ActivationSymmetric")
    return None if asked is None else bool(asked)


def _check_form(quant_format: Named | str | None, target: Target) -> None:
    if quant_format is None:
        return
    name = name_of(quant_format)
    if name != "QDQ":
        raise OptionError(f"quant_format {name} is not written here: choose QDQ.")
    if "qdq" not in target.forms:
        raise OptionError(
            f"quant_format QDQ does not go with target {target.name}: leave one of them out."
        )


def _width(bits: int | None, weight: str, reduce_range: bool, own: Mapping[str, Any]) -> int:
    """The width of weights in bits.

    Args:
        bits: what was asked for; None for the widest.
        weight: the type of weights.
        reduce_range: whether weights have 7 bits at most.
        own: options of `optimize`, which may widen some weights.
    """
    limit, widest = f"weight_type {weight}", _WEIGHT_BITS[weight]
    if reduce_range:
        if widest <= _REDUCED_BITS:
            raise OptionError(
                f"reduce_range does not go with weight_type {weight}, whose {widest} bits never "
                "saturate: leave reduce_range out."
            )
        limit, widest = "reduce_range", _REDUCED_BITS
        for pattern, width in (own.get("bits_for") or {}).items():
            _check_width(f"bits_for {pattern!r}", width, limit, widest)
        if own.get("max_drop") is not None:
            raise OptionError(
                "reduce_range does not go with max_drop, which keeps weights at 8 bits: leave one "
                "of them out."
            )
    if bits is None:
        return widest
    _check_width("bits", bits, limit, widest)
    return bits


def _check_width(option: str, bits: int, limit: str, widest: int) -> None:
    check_bits(bits)
    if bits > widest:
        raise OptionError(
            f"{option} {bits} does not go with {limit}: choose {widest} or less, or leave {limit} "
            "out."
        )


def _patterns(model: ModelSource, nodes: Sequence[str] | None, requantize: bool) -> tuple[str, ...]:
    """Patterns that match these nodes alone, of which each must have weights."""
    if not nodes:
        return ()
    if isinstance(nodes, str):
        raise OptionError(f"nodes_to_exclude {nodes!r} is one name: give a list of names.")
    weights, _ = find_weights(fold_constants(load(model), requantize=requantize).model)
    known = list(dict.fromkeys(node for weight in weights for node in weight.nodes))
    for name in nodes:
        if known and name not in known:
            more = f" and {len(known) - 4} more" if len(known) > 4 else ""
            raise OptionError(
                f"nodes_to_exclude {name!r} is no node with weights, and only these can be "
                f"excluded here: choose among {', '.join(known[:4])}{more}."
            )
    if weights and all(set(weight.nodes) & set(nodes) for weight in weights):
        raise OptionError("nodes_to_exclude names all nodes with weights: exclude fewer.")
    return tuple(re.sub(r"([*?[])", r"[\1]", name) for name in nodes)
