"""Give layers a bias of their own, which reconstruction may change."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.graph import (
    Runnable,
    all_nodes,
    as_network,
    copy_of,
    is_standard,
    names_in_use,
    unused_name,
)
from onnx_evoq.model.layers.linear_layers import weight_channels


def own_biases(model: ModelProto, weights: Iterable[str]) -> ModelProto:
    """A copy in which every Conv, ConvTranspose and Gemm with one of `weights` has its own bias.

    1. A layer without a bias gets zeros.
    2. A bias that other nodes read too (exporters share equal ones), or that is an output of the
       model, is copied.

    The outputs stay the same. A bias that a node computes stays as it is.
    """
    changed, names_of_weights = copy_of(model), set(weights)
    graph = changed.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in all_nodes(graph) for name in node.input)
    readers.update(value.name for value in graph.output)
    used = names_in_use(graph)
    for node in graph.node:
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
            values = numpy_helper.to_array(tensors[old])  # rule 2
            readers[old] -= 1
        else:
            continue
        name = unused_name(f"{weight.name}_bias", used)
        graph.initializer.append(numpy_helper.from_array(values, name))
        del node.input[2:]
        node.input.append(name)
    return changed


def initializer_values(model: Runnable, names: Iterable[str]) -> dict[str, Float32Array]:
    """The values of initializers, as float32 in their shapes, by name."""
    chosen, network = set(names), as_network(model)
    return {
        tensor.name: np.asarray(network.value(tensor), np.float32)
        for tensor in model.graph.initializer
        if tensor.name in chosen
    }
