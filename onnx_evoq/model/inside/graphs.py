"""The graphs of a model whose tensors can be shown, and which of these are constants."""

from collections.abc import Iterator

from onnx import GraphProto, NodeProto

from onnx_evoq.model.graph import Runnable, as_network, bodies, constants_of, opset_of, reads
from onnx_evoq.model.inside.bodies import shows_bodies


def shown_nodes(model: Runnable) -> Iterator[tuple[NodeProto, int]]:
    """The nodes of a model whose tensors are there or can be shown, in the order of a run.

    Returns:
        Each node with the number of its graph, 0 for the main graph; what a node holds follows it.
    """
    opset = opset_of(as_network(model).model)
    count = 0

    def nodes_of(graph: GraphProto) -> Iterator[tuple[NodeProto, int]]:
        nonlocal count
        own, count = count, count + 1
        for node in graph.node:
            yield node, own
            for body in bodies(node) if shows_bodies(node, opset) else ():
                yield from nodes_of(body)

    return nodes_of(model.graph)


def constants_in(model: Runnable) -> set[str]:
    """The tensors of these graphs that depend on no input, initializers included."""
    constants = constants_of(model.graph) | {tensor.name for tensor in model.graph.initializer}
    for node, graph in shown_nodes(model):
        for body in bodies(node):
            constants |= {tensor.name for tensor in body.initializer}
        random = node.op_type.startswith(("Random", "Multinomial"))
        if graph and reads(node) <= constants and not random:
            constants.update(name for name in node.output if name)
    return constants
