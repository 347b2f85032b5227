"""Put the branch of an If in its place, where its condition is a constant.

The names of all tensors are unique in a model that is loaded.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from onnx import GraphProto, NodeProto, helper

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph import bodies, is_standard, replace_nodes


def take_branches(graph: GraphProto, value_of: Callable[[str], Array | None]) -> bool:
    """Replace each If of a known condition by the branch that it takes, in place.

    Args:
        graph: a graph; the bodies of its nodes are treated, too.
        value_of: gives the value of a constant by its name, None for what is no constant.

    Returns:
        Whether there was one.
    """
    nodes: list[NodeProto] = []
    taken = False
    for node in graph.node:
        branch = _branch(node, value_of)
        if branch is None:
            for body in bodies(node):
                taken |= take_branches(body, value_of)
            nodes.append(node)
        else:
            nodes += _inlined(branch, node, graph)
            taken = True
    if taken:
        replace_nodes(graph, nodes)
    return taken


def _branch(node: NodeProto, value_of: Callable[[str], Array | None]) -> GraphProto | None:
    """The branch that an If takes, None if that is not known."""
    if node.op_type != "If" or not is_standard(node):
        return None
    condition = value_of(node.input[0])
    if condition is None or condition.size != 1:
        return None
    wanted = "then_branch" if condition.reshape(-1)[0] else "else_branch"
    return next(entry.g for entry in node.attribute if entry.name == wanted)


def _inlined(branch: GraphProto, node: NodeProto, graph: GraphProto) -> list[NodeProto]:
    """The nodes of a branch, which give the outputs of the If; its tensors are added to `graph`."""
    graph.initializer.extend(branch.initializer)
    graph.value_info.extend(branch.value_info)
    counts = Counter(value.name for value in branch.output)
    made = {name for inner in branch.node for name in inner.output}
    renamed, copies = dict[str, str](), list[NodeProto]()
    for value, output in zip(branch.output, node.output, strict=True):
        if not output:
            continue
        if value.name in made and counts[value.name] == 1:
            renamed[value.name] = output
        else:
            copies.append(helper.make_node("Identity", [value.name], [output]))
    for inner in branch.node:
        rename_in(inner, renamed)
    return [*branch.node, *copies]


def rename_in(node: NodeProto, names: Mapping[str, str]) -> None:
    """Rename tensors that a node and its bodies read or make, in place; names are unique."""
    for ends in (node.input, node.output):
        for position, name in enumerate(ends):
            ends[position] = names.get(name, name)
    for body in bodies(node):
        for value in body.output:
            value.name = names.get(value.name, value.name)
        for inner in body.node:
            rename_in(inner, names)
