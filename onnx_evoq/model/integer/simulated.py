"""A float model with QuantizeLinear and DequantizeLinear around its activations alone.

They are placed elsewhere, for weights and activations alike. Here those of weights and biases are
taken away again: this is the model whose weights are then quantized, in sight of the integer
activations.
"""

from collections.abc import Collection

from onnx import ModelProto, NodeProto

from onnx_evoq.model.graph import drop_unread, replace_nodes
from onnx_evoq.model.integer.prepared import CODES


def simulated(placed: ModelProto, model: ModelProto, names: Collection[str]) -> ModelProto:
    """The placed model with some initializers as floats again.

    Args:
        placed: the model with Q and DQ; it changes.
        model: the float model that it was made from.
        names: of weights and biases.
    """
    graph, chosen = placed.graph, set(names)
    held = {tensor.name for tensor in graph.initializer}
    floats: dict[str, str] = {}  # by the tensor that other nodes read
    others: list[NodeProto] = []
    for node in graph.node:
        base = node.input[0].removesuffix(CODES) if node.input else ""
        if node.op_type == "DequantizeLinear" and node.input[0] in held and base in chosen:
            floats[node.output[0]] = base
        else:
            others.append(node)
    for node in others:
        for index, name in enumerate(node.input):
            node.input[index] = floats.get(name, name)
    replace_nodes(graph, others)
    again = {*floats.values()} - held
    graph.initializer.extend(t for t in model.graph.initializer if t.name in again)
    drop_unread(graph)
    return placed
