"""Write quantized weights into a model, in the QDQ or the float format.

QDQ: the codes become an integer initializer, and a DequantizeLinear (signed, zero point 0) makes a
tensor of the weight's old name from it, so that no other node changes:

    w_quantized (int8), w_scale (float32), w_zero_point  ->  DequantizeLinear  ->  w

A float16 weight is dequantized in float32 and cast, for runtimes without a float16 scale.
Each integer type needs an operator set:

    INT8   5 to 8 bits     opset 10, per channel 13
    INT4   3 and 4 bits    opset 21
    INT2   2 bits          opset 25

Where channels differ in width, the type is that of the widest channel.

Float: the same graph with each weight replaced by ``step * codes``.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    checker,
    helper,
    numpy_helper,
)

from onnx_evoq.errors import ModelError
from onnx_evoq.model.emission.opset import with_opset
from onnx_evoq.model.files import check_valid
from onnx_evoq.model.graph import (
    Runnable,
    as_network,
    copy_of,
    names_in_use,
    replace_nodes,
    to_model,
    unused_name,
    with_codes,
)
from onnx_evoq.model.tensors import tensor_of_codes
from onnx_evoq.quantize import QuantizedWeight

Quantized = Mapping[str, QuantizedWeight]

_OPSET: dict[int, int] = {TensorProto.INT8: 10, TensorProto.INT4: 21, TensorProto.INT2: 25}
_IR_VERSION: dict[int, int] = {TensorProto.INT8: 4, TensorProto.INT4: 10, TensorProto.INT2: 13}
_PER_CHANNEL_OPSET = 13


def replace_weights(
    model: ModelProto, values: Mapping[str, NDArray[np.float32 | np.float64]]
) -> ModelProto:
    """A copy of `model` whose initializers hold `values`, each in its old type and shape."""
    changed = copy_of(model)
    for tensor in changed.graph.initializer:
        if tensor.name in values:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            new = values[tensor.name].astype(dtype, copy=False).reshape(tuple(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
    return changed


def emit_float(model: Runnable, quantized: Quantized) -> ModelProto:
    """The model in the float format."""
    return to_model(with_codes(model, quantized))


def emit_qdq(
    model: Runnable, quantized: Quantized, *, narrowest: int, opset: int = 0
) -> ModelProto:
    """The model in the QDQ format: integer weights and DequantizeLinear.

    Args:
        model: the float model, as `load` returns it.
        quantized: codes and grid by weight name, of at least one weight.
        narrowest: the bits of the narrowest type to use: 2, 4 or 8. INT4 and INT2 may raise the
            operator set.
        opset: the least operator set of the file.

    Raises:
        ModelError: the model cannot be converted to the operator set that its types need.
    """
    kinds = {name: _container(max(grid.widest, narrowest)) for name, (_, grid) in quantized.items()}
    opset = max(opset, *(_OPSET[kind] for kind in kinds.values()))
    if any(grid.axis is not None for _, grid in quantized.values()):
        opset = max(opset, _PER_CHANNEL_OPSET)
    network = as_network(model)
    weights = [tensor for tensor in network.graph.initializer if tensor.name in quantized]
    emitted = with_opset(network, opset, {tensor.name for tensor in weights})
    emitted.ir_version = max(emitted.ir_version, *(_IR_VERSION[kind] for kind in kinds.values()))
    graph = emitted.graph
    used = names_in_use(graph)
    nodes: list[NodeProto] = []
    for tensor in weights:
        initializers, dequantizers = _dequantized(
            tensor, quantized[tensor.name], kinds[tensor.name], used
        )
        graph.initializer.extend(initializers)
        nodes.extend(dequantizers)
    replace_nodes(graph, [*nodes, *graph.node])
    try:
        check_valid(emitted)
    except checker.ValidationError as cause:
        raise ModelError(f"the model is not valid with integer weights: {cause}") from cause
    return emitted


def _container(bits: int) -> int:
    if bits <= 2:
        return TensorProto.INT2
    return TensorProto.INT4 if bits <= 4 else TensorProto.INT8


def _dequantized(
    tensor: TensorProto, quantized: QuantizedWeight, kind: int, used: set[str]
) -> tuple[list[TensorProto], list[NodeProto]]:
    """The initializers and the nodes that make the weight `tensor` from its codes."""
    name, (codes, grid) = tensor.name, quantized
    inputs = [unused_name(f"{name}_{part}", used) for part in ("quantized", "scale", "zero_point")]
    narrow = helper.tensor_dtype_to_np_dtype(kind)
    initializers = [
        tensor_of_codes(codes, kind, inputs[0]),
        numpy_helper.from_array(np.asarray(grid.step, np.float32), inputs[1]),
        numpy_helper.from_array(np.zeros(grid.step.shape, narrow), inputs[2]),
    ]
    half = tensor.data_type == TensorProto.FLOAT16
    target = unused_name(f"{name}_float32", used) if half else name
    label = unused_name(f"{name}_dequantize", used)
    node = helper.make_node("DequantizeLinear", inputs, [target], label)
    if grid.axis is not None:
        node.attribute.append(helper.make_attribute("axis", grid.axis))
    nodes = [node]
    if half:
        nodes.append(helper.make_node("Cast", [target], [name], to=TensorProto.FLOAT16))
    return initializers, nodes


def describe(model: ModelProto, metadata: Mapping[str, str]) -> None:
    """Add entries to the `metadata_props` of a model, in place of those with the same keys."""
    kept = [(e.key, e.value) for e in model.metadata_props if e.key not in metadata]
    helper.set_model_props(model, dict([*kept, *metadata.items()]))
