"""Place QuantizeLinear and DequantizeLinear by ONNX Runtime's own tool, with scales of ours.

The tool knows where each operator needs them for its integer kernel. Its own calibration is not
used: each tensor is given its scale and its zero point. So codes of weights on a grid stay exact.
"""

import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from onnx_evoq.array_types import Array
from onnx_evoq.errors import ModelError

# Operators that stay float: their integer forms lose accuracy, or there is no kernel on the CPU.
_ONE_THREAD = threading.Lock()
_FLOAT = {
    "ArgMax", "BatchNormalization", "CumSum", "EmbedLayerNormalization", "InstanceNormalization",
    "LayerNormalization", "Softmax", "TopK",
}  # fmt: skip
_TYPES = {
    ("uint", 8): QuantType.QUInt8, ("uint", 16): QuantType.QUInt16, ("int", 8): QuantType.QInt8,
    ("int", 16): QuantType.QInt16,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class IntegerTensor:
    """How a tensor becomes integers.

    Attributes:
        scale: one number, or (channels,).
        zero_point: the code of 0, in the type of the codes.
        axis: of the channels; None for one scale.
    """

    scale: Array
    zero_point: Array
    axis: int | None = None


def placed(
    model: Any,
    tensors: Collection[str],
    activations: Mapping[str, IntegerTensor],
    weights: Mapping[str, IntegerTensor],
    float_nodes: Collection[str] = (),
    *,
    symmetric: bool = False,
    float_biases: bool = False,
) -> Any:
    """A model with QuantizeLinear and DequantizeLinear where its operators take integers.

    Its nodes are not in order.

    Args:
        model: the float model, an `onnx.ModelProto` whose nodes have names; it changes.
        tensors: names of all its tensors but its initializers.
        activations: by name; others get a scale of 1.
        weights: by the name of the initializer; others get the tool's own scales.
        float_nodes: names of nodes that stay float.
        symmetric: whether activations are signed with a zero point of 0. Then the lowest code does
            not stand for the limit of a Relu, which stays.
        float_biases: whether biases that have no scale of their own in `weights` stay float, in
            place of 32 bits in units of the scales of their products.
    """
    no_scale = IntegerTensor(np.array(1, np.float32), np.array(0, np.uint8))
    overrides = {
        name: _override(each)
        for name, each in {
            **{name: activations.get(name, no_scale) for name in tensors},
            **weights,
        }.items()
    }
    nowhere = TensorData(lowest=np.float32(0), highest=np.float32(1))  # as scales are given
    with _quiet():
        tool = QDQQuantizer(
            model, False, False, QuantType.QInt8, QuantType.QUInt8,
            TensorsData(CalibrationMethod.MinMax, dict.fromkeys(tensors, nowhere)),
            [], list(float_nodes), sorted({*QDQRegistry, *QLinearOpsRegistry} - _FLOAT),
            {
                "TensorQuantOverrides": overrides,
                "QDQDisableWeightAdjustForInt32Bias": True,
                "QuantizeBias": not float_biases,
                "ActivationSymmetric": symmetric,
                "OpTypesToExcludeOutputQuantization": ["MatMul"],
            },
        )  # fmt: skip
        try:
            tool.quantize_model()
        except ValueError as cause:  # of tensors whose type no shape inference finds
            raise ModelError(
                f"the model's activations cannot be quantized by ONNX Runtime's tool ({cause}): "
                "leave activations out (--activations), or state the types of its tensors "
                "(value_info)."
            ) from cause
    return tool.model.model


def _override(tensor: IntegerTensor) -> list[dict[str, Any]]:
    dtype = tensor.zero_point.dtype
    kind = _TYPES["uint" if dtype.kind == "u" else "int", 8 * dtype.itemsize]
    zero_point = tensor.zero_point.reshape(-1)[0]

    def entry(scale: Any) -> dict[str, Any]:
        return {
            "scale": np.array(scale, np.float32),
            "zero_point": np.array(zero_point),
            "quant_type": kind,
        }

    if tensor.axis is None:
        return [entry(tensor.scale.reshape(()))]
    return [{**entry(scale), "axis": tensor.axis} for scale in tensor.scale]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tool's advice, which is for its own calibration.

    One thread at a time: the level is that of the process.
    """
    logger = logging.getLogger()
    with _ONE_THREAD:
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
