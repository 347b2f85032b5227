"""Turn constants that may be weights into initializers of the main graph.

1. A Constant node whose float tensor has at least one axis becomes an initializer of the same name.
2. A float initializer of a body (an If branch, a Loop body) moves to the main graph, under a new
   name, and the body captures it from there.
3. A tensor of a body that has the name of another one elsewhere gets a new name.

Afterwards every weight is an initializer of the main graph, the other files of this room look only
there, and each name stands for one tensor. The outputs of the model do not change.
"""

from onnx import GraphProto, NodeProto, TensorProto

from onnx_evoq.model.files.unique_names import unique_names
from onnx_evoq.model.graph import (
    FLOAT_TYPES,
    bodies,
    constant_of,
    names_in_use,
    unused_name,
    walk,
)


def lift_constants(graph: GraphProto) -> None:
    """Apply the rules above to `graph`, in place."""
    used = names_in_use(graph)
    for inner in walk(graph):
        _constants_to_initializers(inner)  # rule 1
    for node in graph.node:
        for body in bodies(node):
            _lift_initializers(body, graph, used)  # rule 2
    unique_names(graph)  # rule 3


def _may_be_weight(tensor: TensorProto) -> bool:
    return tensor.data_type in FLOAT_TYPES and len(tensor.dims) >= 1


def _constants_to_initializers(graph: GraphProto) -> None:
    for node in list(graph.node):
        value = constant_of(node)
        if value is not None and _may_be_weight(value):
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _lift_initializers(body: GraphProto, main: GraphProto, used: set[str]) -> None:
    for node in body.node:
        for inner in bodies(node):
            _lift_initializers(inner, main, used)
    inputs = {value.name for value in body.input}
    outputs = {value.name for value in body.output}
    for tensor in list(body.initializer):
        # A body must own its outputs, and a default value of an input belongs to the input.
        if not _may_be_weight(tensor) or tensor.name in inputs | outputs:
            continue
        # Two branches may each own a tensor of the same name, so the name in the main graph is new.
        name = unused_name(f"{body.name}.{tensor.name}", used)
        lifted = main.initializer.add()
        lifted.CopyFrom(tensor)
        lifted.name = name
        _rename(body, tensor.name, name)
        body.initializer.remove(tensor)


def _rename(graph: GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        _rename_inputs(node, old, new)
        for body in bodies(node):
            owned = {value.name for value in body.input} | {t.name for t in body.initializer}
            if old not in owned:
                _rename(body, old, new)


def _rename_inputs(node: NodeProto, old: str, new: str) -> None:
    for position, name in enumerate(node.input):
        if name == old:
            node.input[position] = new
