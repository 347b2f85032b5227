"""Give layers a bias of their own, for reconstruction to change."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.graph import all_nodes, attribute, is_standard, names_in_use, unused_name


def own_biases(model: ModelProto, weights: Iterable[str]) -> ModelProto:
    """A copy in which every Conv, ConvTranspose and Gemm with one of `weights` has its own bias.

    1. Where there is none, it is zero.
    2. Where other nodes read the same initializer (exporters share equal ones), or it is an output
       of the model, it is copied.

    The outputs stay the same. A bias that is computed stays as it is.
    """
    changed, wanted = ModelProto(), set(weights)
    changed.CopyFrom(model)
    graph = changed.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in all_nodes(graph) for name in node.input)
    readers.update(value.name for value in graph.output)
    used = names_in_use(graph)
    for node in graph.node:
        standard = node.op_type in ("Conv", "ConvTranspose", "Gemm") and is_standard(node)
        if not standard or node.input[1] not in wanted:
            continue
        weight = tensors[node.input[1]]
        old = node.input[2] if len(node.input) > 2 else ""
        if not old:
            dtype = helper.tensor_dtype_to_np_dtype(weight.data_type)
            values = np.zeros(_channels(node, weight), dtype)  # rule 1
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


def _channels(node: NodeProto, weight: TensorProto) -> int:
    if node.op_type == "Gemm":
        return weight.dims[0] if attribute(node, "transB", 0) else weight.dims[1]
    if node.op_type == "ConvTranspose":
        return weight.dims[1] * int(attribute(node, "group", 1))
    return weight.dims[0]


def initializer_values(model: ModelProto, names: Iterable[str]) -> dict[str, Float32Array]:
    """What initializers hold, as float32 in their shapes, by name."""
    wanted = set(names)
    return {
        tensor.name: np.asarray(numpy_helper.to_array(tensor), np.float32)
        for tensor in model.graph.initializer
        if tensor.name in wanted
    }
