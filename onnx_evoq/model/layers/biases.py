"""Give layers a bias of their own, which reconstruction may change."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.model.graph import (
    Runnable,
    all_nodes,
    as_network,
    copy_of,
    is_standard,
    names_in_use,
    unused_name,
)
from onnx_evoq.model.inside import shown_nodes
from onnx_evoq.model.layers.closed_form import Layer
from onnx_evoq.model.layers.linear_layers import weight_channels
from onnx_evoq.model.tensors import array_of


def own_biases(model: ModelProto, weights: Iterable[str]) -> ModelProto:
    """The model with a bias of its own for each Conv, ConvTranspose and Gemm of `weights`.

    1. A layer without a bias gets zeros.
    2. A bias that other nodes read too (exporters share equal ones), or that is an output of the
       model, is copied.

    The outputs stay the same. A bias that a node computes stays as it is.

    Returns:
        A copy; `model` itself if all of them have one.
    """
    names_of_weights, graph = set(weights), model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in all_nodes(graph) for name in node.input)
    readers.update(value.name for value in graph.output)
    new: dict[int, tuple[str, Array]] = {}  # by the node's place, its weight and its bias
    for index, (node, _) in enumerate(shown_nodes(model)):
        standard = node.op_type in ("Conv", "ConvTranspose", "Gemm") and is_standard(node)
        if not standard or node.input[1] not in names_of_weights:
            continue
        weight = tensors[node.input[1]]
        old = node.input[2] if len(node.input) > 2 else ""
        if not old:
            dtype = helper.tensor_dtype_to_np_dtype(weight.data_type)
            outputs, _ = weight_channels(node, weight)
            values = np.zeros(int(outputs.max()) + 1, dtype)  # rule 1
        elif old in tensors and readers[old] > 1:
            values = array_of(tensors[old])  # rule 2
            readers[old] -= 1
        else:
            continue
        new[index] = weight.name, values
    if not new:
        return model
    changed, used = copy_of(model), names_in_use(graph)
    nodes = [node for node, _ in shown_nodes(changed)]
    for index, (weight_name, values) in new.items():
        name = unused_name(f"{weight_name}_bias", used)
        changed.graph.initializer.append(numpy_helper.from_array(values, name))
        node = nodes[index]
        del node.input[2:]
        node.input.append(name)
    return changed


def float_bias(model: Runnable, layer: Layer) -> Float32Array | None:
    """The bias of a layer whose output is no tensor, as its targets need it; else None."""
    if layer.output is not None or layer.bias is None:
        return None
    return initializer_values(model, [layer.bias])[layer.bias].reshape(-1)


def initializer_values(model: Runnable, names: Iterable[str]) -> dict[str, Float32Array]:
    """The values of initializers, as float32 in their shapes, by name."""
    chosen, network = set(names), as_network(model)
    return {
        tensor.name: np.asarray(network.value(tensor), np.float32)
        for tensor in model.graph.initializer
        if tensor.name in chosen
    }
