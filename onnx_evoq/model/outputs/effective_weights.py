"""Which initializers may be weights, and which of them have an effect on some tensors."""

from collections.abc import Iterable, Sequence

from onnx import ModelProto, TensorProto

from onnx_evoq.model.outputs.dependence import NOTHING, dependences
from onnx_evoq.model.weights import find_weights

_NARROW_INTEGERS = {
    TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2,
    TensorProto.UINT2,
}  # fmt: skip


def weights_before(model: ModelProto, weights: Sequence[str], tensors: Iterable[str]) -> set[str]:
    """The weights that have an effect on some tensors of the main graph."""
    known = dependences(model, weights)
    seen = 0
    for name in tensors:
        seen |= known.get(name, NOTHING).weights
    return {name for bit, name in enumerate(weights) if seen >> bit & 1}


def stored_weights(model: ModelProto) -> list[str]:
    """The initializers of any model, quantized or not, that may be weights: those of two axes."""
    float_weights = {weight.name for weight in find_weights(model)[0]}
    return [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.name in float_weights
        or (len(tensor.dims) > 1 and tensor.data_type in _NARROW_INTEGERS)
    ]
