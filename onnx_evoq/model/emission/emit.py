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

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    checker,
    helper,
    numpy_helper,
    version_converter,
)

from onnx_evoq.errors import ModelError
from onnx_evoq.model.graph import (
    Network,
    Runnable,
    as_network,
    check_valid,
    copy_of,
    drop_added_shapes,
    names_in_use,
    opset_of,
    replace_nodes,
    to_model,
    unused_name,
    with_codes,
)
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
            new = values[tensor.name].astype(dtype).reshape(tuple(tensor.dims))
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
    emitted = _with_opset(network, opset, {tensor.name for tensor in weights})
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


def at_opset(network: Network, opset: int) -> ModelProto:
    """A model of its own with that operator set or a newer one.

    Raises:
        ModelError: it cannot be converted.
    """
    return _with_opset(network, opset, ())


def _container(bits: int) -> int:
    if bits <= 2:
        return TensorProto.INT2
    return TensorProto.INT4 if bits <= 4 else TensorProto.INT8


def _with_opset(network: Network, opset: int, weights: Collection[str]) -> ModelProto:
    """A model of that operator set or a newer one, without the initializers `weights`."""
    model = to_model(network, weights)
    current = opset_of(model)
    if current >= opset:
        return model
    stand_ins = [_as_input(t) for t in network.graph.initializer if t.name in weights]
    model.graph.input.extend(stand_ins)
    try:
        converted = version_converter.convert_version(model, opset)
        check_valid(converted)
    except MemoryError:
        raise
    except Exception as cause:  # the converter raises several kinds for operators that it lacks
        raise ModelError(
            f"the model cannot be converted from operator set {current} to {opset}: "
            f"export it with {opset} or newer, or emit the float format."
        ) from cause
    for value in [value for value in converted.graph.input if value.name in weights]:
        converted.graph.input.remove(value)
    least = helper.find_min_ir_version_for(converted.opset_import, True)
    converted.ir_version = max(converted.ir_version, least)
    drop_added_shapes(converted, model)
    return converted


def _as_input(tensor: TensorProto) -> ValueInfoProto:
    """An input that stands for an initializer."""
    return helper.make_tensor_value_info(tensor.name, tensor.data_type, tuple(tensor.dims))


def _dequantized(
    tensor: TensorProto, quantized: QuantizedWeight, kind: int, used: set[str]
) -> tuple[list[TensorProto], list[NodeProto]]:
    """The initializers and the nodes that make the weight `tensor` from its codes."""
    name, (codes, grid) = tensor.name, quantized
    inputs = [unused_name(f"{name}_{part}", used) for part in ("quantized", "scale", "zero_point")]
    narrow = helper.tensor_dtype_to_np_dtype(kind)
    initializers = [
        numpy_helper.from_array(codes.astype(narrow), inputs[0]),  # packed where narrower than int8
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
