"""Give the tensors in the bodies of If, Loop and Scan names that no other tensor has.

ONNX allows two branches of an If to use one name for two tensors. Where names are unique, a tensor
may move from a body to the graph around it, and its name says where it is.
"""

from onnx import GraphProto

from onnx_evoq.model.graph import bodies, names_in_use, unused_name


def unique_names(graph: GraphProto) -> None:
    """Rename what is named like another tensor, in place; the names of `graph` itself stay.

    Args:
        graph: the main graph of a model.
    """
    taken, used = _own_names(graph), names_in_use(graph)
    for node in graph.node:
        for body in bodies(node):
            _rename_own(body, {}, taken, used)


def _own_names(graph: GraphProto) -> set[str]:
    """The names of all tensors that `graph` itself holds or computes."""
    names = {value.name for value in graph.input}
    names.update(tensor.name for tensor in graph.initializer)
    names.update(name for node in graph.node for name in node.output if name)
    return names


def _rename_own(body: GraphProto, outer: dict[str, str], taken: set[str], used: set[str]) -> None:
    """Rename what a body owns and reads, in place.

    Args:
        body: the graph of a node.
        outer: the new names of tensors around it, by their old ones.
        taken: the names of tensors seen so far; those of the body are added.
        used: all names of the model; new ones are added.
    """
    own = _own_names(body)
    names = {old: new for old, new in outer.items() if old not in own}
    for name in sorted(own & taken):
        names[name] = unused_name(name, used)
    taken |= {names.get(name, name) for name in own}
    for value in (*body.input, *body.output, *body.value_info):
        value.name = names.get(value.name, value.name)
    for tensor in body.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in body.node:
        for ends in (node.input, node.output):
            for position, name in enumerate(ends):
                ends[position] = names.get(name, name)
        for inner in bodies(node):
            _rename_own(inner, names, taken, used)
