"""Give layers a bias of their own, which reconstruction may change."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.model.graph import (
    Runnable,
    all_nodes,
    as_network,
    attribute,
    copy_of,
    names_in_use,
    unused_name,
)
from onnx_evoq.model.inside import shown_nodes
from onnx_evoq.model.layers.fused import scales_terms
from onnx_evoq.model.layers.layer import Layer
from onnx_evoq.model.layers.matrix_of import bias_position, linear_of
from onnx_evoq.model.tensors import array_of
from onnx_evoq.quantize import Window


def own_biases(model: ModelProto, weights: Iterable[str]) -> ModelProto:
    """The model with a bias of its own for each layer of `weights` whose node may have one.

    1. A layer without a bias gets zeros.
    2. A bias that other nodes read too (exporters share equal ones), or that is an output of the
       model, is copied.
    3. One value for all channels becomes one for each, and the `beta` of a Gemm goes into its bias.

    The outputs stay the same. A bias that a node computes stays as it is.

    Returns:
        A copy; `model` itself if all of them have one.
    """
    names_of_weights, graph = set(weights), model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in all_nodes(graph) for name in node.input)
    readers.update(value.name for value in graph.output)
    before = readers.copy()
    new: list[tuple[int, int, str, Array]] = []  # the node's place, the input, weight and bias
    for index, (node, _) in enumerate(shown_nodes(model)):
        for position, weight in enumerate(node.input):
            if weight not in names_of_weights:
                continue
            found = _new_bias(node, position, tensors, readers)
            if found is not None:
                new.append((index, found[0], weight, found[1]))
    if not new:
        return model
    changed, used = copy_of(model), names_in_use(graph)
    nodes = [node for node, _ in shown_nodes(changed)]
    for index, position, weight, values in new:
        name = unused_name(f"{weight}_bias", used)
        changed.graph.initializer.append(numpy_helper.from_array(values, name))
        node = nodes[index]
        node.input.extend([""] * (position + 1 - len(node.input)))
        node.input[position] = name
        if scales_terms(node):
            (beta,) = (each for each in node.attribute if each.name == "beta")
            node.attribute.remove(beta)
    replaced = {name for name in tensors if readers[name] <= 0 < before[name]}
    for tensor in [each for each in changed.graph.initializer if each.name in replaced]:
        changed.graph.initializer.remove(tensor)
    return changed


def _new_bias(
    node: NodeProto, position: int, tensors: Mapping[str, TensorProto], readers: Counter[str]
) -> tuple[int, Array] | None:
    """Which input of a node gets a new bias, and its values; None if none is needed."""
    weight = tensors[node.input[position]]
    linear, place = linear_of(node, position, weight.dims), bias_position(node, position)
    if linear is None or place is None:
        return None
    shape = linear.bias_shape(tuple(weight.dims))
    if shape is None:
        return None
    if isinstance(linear, Window):
        shape = shape[:1]
    old = node.input[place] if len(node.input) > place else ""
    if not old:
        return place, np.zeros(shape, helper.tensor_dtype_to_np_dtype(weight.data_type))  # rule 1
    if old not in tensors:
        return None
    values = array_of(tensors[old])
    scaled, one = scales_terms(node), values.size == 1 and values.shape != shape
    if readers[old] <= 1 and not scaled and not one:
        return None
    readers[old] -= 1  # rule 2
    if scaled:
        values = (values * attribute(node, "beta", 1)).astype(values.dtype)
    return place, np.broadcast_to(values, shape).copy() if one else values  # rule 3


def float_bias(model: Runnable, layer: Layer) -> Float32Array | None:
    """The bias of a layer whose output is no tensor, as its targets need it; else None."""
    if layer.output is not None or layer.bias is None:
        return None
    return _bias_in(layer, initializer_values(model, [layer.bias])[layer.bias])


def bias_values(model: Runnable, layer: Layer, bias: Float32Array) -> Float32Array:
    """The values of the initializer that holds the bias of a layer, for another bias.

    Args:
        model: the model with the present values.
        layer: the layer, which has a bias.
        bias: (channels,), the other bias.
    """
    if layer.bias is None or layer.half_bias is None:
        return bias
    values = initializer_values(model, [layer.bias])[layer.bias].copy()
    halves = values.reshape(len(values), 2, -1)  # (directions, 2, rows)
    change = bias - _bias_in(layer, values)
    halves[:, layer.half_bias.half] += change.reshape(len(values), -1)
    return values


def _bias_in(layer: Layer, values: Float32Array) -> Float32Array:
    """(channels,), the bias of a layer among the values of its initializer."""
    if layer.half_bias is None:
        return values.reshape(-1)
    halves = values.reshape(len(values), 2, -1)  # (directions, 2, rows)
    own, other = halves[:, layer.half_bias.half], halves[:, 1 - layer.half_bias.half]
    return np.asarray(own.ravel() + np.where(layer.half_bias.both, other.ravel(), 0), np.float32)


def initializer_values(model: Runnable, names: Iterable[str]) -> dict[str, Float32Array]:
    """The values of initializers, as float32 in their shapes, by name."""
    chosen, network = set(names), as_network(model)
    return {
        tensor.name: np.asarray(network.value(tensor), np.float32)
        for tensor in model.graph.initializer
        if tensor.name in chosen
    }
