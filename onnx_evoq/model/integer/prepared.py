"""Get a float model ready for QuantizeLinear and DequantizeLinear."""

from collections.abc import Collection
from graphlib import TopologicalSorter

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.emission import at_opset
from onnx_evoq.model.graph import (
    FLOAT_TYPES,
    Runnable,
    all_nodes,
    as_network,
    attribute,
    bodies,
    captured,
    names_in_use,
    reads,
    replace_nodes,
    unused_name,
)
from onnx_evoq.model.tensors import array_of

# With which the tool ends the names of what it makes of a tensor.
CODES = "_quantized"  # an initializer of codes
OF_OUTPUT = "_QuantizeLinear_Input"  # what becomes an output of the model by Q and DQ
_ENDS = (
    "_scale", "_zero_point", CODES, f"{CODES}_scale", f"{CODES}_zero_point",
    OF_OUTPUT, "_QuantizeLinear_Output", "_DequantizeLinear_Output",
)  # fmt: skip
_OPSET = 13  # with axes of Q and DQ


def prepared(model: Runnable, opset: int = _OPSET) -> ModelProto:
    """A copy of the float model that the placing tool can work on.

    It has a new enough operator set, all its nodes have names, no name can be taken for one that
    the tool makes, and the bias of a Gemm is one number per channel, without beta.

    Args:
        model: the float model.
        opset: the least operator set that it gets; activations of more than 8 bits need 21.

    Raises:
        ModelError: it cannot be converted, or has a name that cannot be changed.
    """
    changed = at_opset(as_network(model), max(opset, _OPSET))
    _rename(changed)
    for node in changed.graph.node:
        if node.op_type == "Gemm":
            _plain_bias(changed.graph, node)
    used = {node.name for node in all_nodes(changed.graph)} | names_in_use(changed.graph)
    seen = set[str]()
    for node in changed.graph.node:
        if not node.name or node.name in seen:
            node.name = unused_name(node.name or node.op_type, used)
        seen.add(node.name)
    return changed


def tensor_names(model: ModelProto) -> list[str]:
    """The names of the inputs of a model, and of all that its nodes compute."""
    computed = [name for node in model.graph.node for name in node.output if name]
    return [*(value.name for value in model.graph.input), *computed]


def makers_and_readers_of(model: ModelProto, names: Collection[str]) -> list[str]:
    """The names of the nodes that give or read one of some tensors."""
    chosen = set(names)
    return [
        node.name for node in model.graph.node if not chosen.isdisjoint([*node.input, *node.output])
    ]


def in_order(model: ModelProto) -> None:
    """Sort the nodes of a model in place: each comes after all that it or its bodies read."""
    graph = model.graph
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    before = {
        index: sorted({makers[name] for name in reads(node) if name in makers})
        for index, node in enumerate(graph.node)
    }
    order = TopologicalSorter(before).static_order()
    replace_nodes(graph, [graph.node[index] for index in order])


def _plain_bias(graph: GraphProto, node: NodeProto) -> None:
    """Give a Gemm a bias of one number per channel, in place, if its third input is a constant."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    if len(node.input) < 3 or not {node.input[1], node.input[2]} <= tensors.keys():
        return
    readers = sum(node.input[2] in reads(other) for other in graph.node)
    dims = tensors[node.input[1]].dims
    channels = dims[0] if attribute(node, "transB", 0) else dims[1]
    beta, bias = attribute(node, "beta", 1), array_of(tensors[node.input[2]])
    if bias.size not in (1, channels) or (beta == 1 and bias.shape == (channels,)):
        return
    plain = np.broadcast_to(bias.reshape(-1) * bias.dtype.type(beta), (channels,))
    name = node.input[2]
    if readers > 1:
        name = unused_name(f"{name}_of_{node.output[0]}", names_in_use(graph))
        graph.initializer.append(numpy_helper.from_array(plain, name))
        node.input[2] = name
    else:
        tensors[name].CopyFrom(numpy_helper.from_array(plain, name))
    kept = [each for each in node.attribute if each.name != "beta"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _rename(model: ModelProto) -> None:
    """Rename what is named like something that the tool makes of another tensor, in place."""
    graph = model.graph
    names = {*tensor_names(model), *(tensor.name for tensor in graph.initializer)}
    taken = {name for name in names if any(_base(name, end) in names for end in _ENDS)}
    if not taken:
        return
    fixed = {value.name for value in [*graph.input, *graph.output]}
    fixed |= {  # weights
        t.name for t in graph.initializer if len(t.dims) > 1 and t.data_type in FLOAT_TYPES
    }
    for node in all_nodes(graph):
        for body in bodies(node):
            fixed |= captured(body)
    used, new = names_in_use(graph), dict[str, str]()
    for name in sorted(taken):
        if name in fixed:
            raise ModelError(f"the name of tensor {name!r} is needed for scales: rename it.")
        new[name] = unused_name(f"own_{name}", used)
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            for index, name in enumerate(ends):
                ends[index] = new.get(name, name)


def _base(name: str, end: str) -> str | None:
    return name.removesuffix(end) if name.endswith(end) else None
