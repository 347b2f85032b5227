"""Fold constants: what a graph computes from its initializers alone becomes initializers.

So a layer reads a weight directly that reached it through Identity, Cast, Transpose, Slice, Concat,
Mul and the like. An If whose condition is a constant is replaced by the branch that it takes.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from onnx_evoq.model.constants.branches import take_branches
from onnx_evoq.model.constants.choice import Choice, choose, is_kept, stands_for
from onnx_evoq.model.constants.computed import Constants, moves_to_main
from onnx_evoq.model.graph import (
    as_network,
    names_in_use,
    reads,
    replace_nodes,
    to_model,
    walk,
)


@dataclass(frozen=True)
class Folded:
    """A model whose constants are folded.

    Attributes:
        model: the model.
        grown: the names of the initializers that take more bytes than all that they come from, as
            floats of codes do.
    """

    model: ModelProto
    grown: tuple[str, ...] = ()


def fold_constants(
    model: ModelProto, *, requantize: bool = False, leave: Collection[str] = ()
) -> Folded:
    """The model with its constants folded; inputs and outputs keep their names.

    Args:
        model: a model as `load` returns it; it stays as it is.
        requantize: whether floats that are computed from codes are constants, too.
        leave: names of initializers of a folded model that shall be computed as before.

    Returns:
        `model` itself if it has nothing to fold.
    """
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = to_model(as_network(model), held)  # without its initializers
    graph = changed.graph
    taken = False
    while True:
        constants = Constants(changed, held, requantize)
        constants.compute()
        if not take_branches(graph, constants.value_of):
            break
        taken = True
    used = names_in_use(graph) | held.keys()
    choice = choose(graph, constants, used, leave)
    if not _rewrite(graph, constants, choice) and not taken:
        return Folded(model)
    _drop_unneeded(graph, constants, choice)
    unread = held.keys() - {name for node in model.graph.node for name in reads(node)}
    graph.initializer.extend(
        tensor for name, tensor in held.items() if name in choice.needed or name in unread
    )
    grown = tuple(
        target
        for name, target in choice.folded.items()
        if constants.values[name].nbytes > constants.size(constants.computed[name].sources)
    )
    _add_initializers(graph, constants, choice)
    return Folded(changed, grown)


def _rewrite(graph: GraphProto, constants: Constants, choice: Choice) -> bool:
    """Let nodes read initializers, and remove nodes that nothing reads, in place.

    Returns:
        Whether that changed anything.
    """
    changed = False
    for inner in walk(graph):
        outputs, nodes = {value.name for value in inner.output}, list[NodeProto]()
        for node in inner.node:
            computed = not constants.computed.keys().isdisjoint(node.output)
            if computed and not is_kept(node.output, constants, choice.folded, choice.needed):
                nodes += [
                    helper.make_node("Identity", [_read_instead(name, constants, choice)], [name])
                    for name in node.output
                    if name in outputs
                ]
                changed = True
                continue
            for position, name in enumerate(node.input):
                node.input[position] = _read_instead(name, constants, choice)
                changed |= node.input[position] != name
            nodes.append(node)
        replace_nodes(inner, nodes)
    return changed


def _read_instead(name: str, constants: Constants, choice: Choice) -> str:
    """What nodes of the folded graph read in place of `name`."""
    name = stands_for(name, constants, choice.folded)
    return choice.folded.get(name, name)


def _drop_unneeded(graph: GraphProto, constants: Constants, choice: Choice) -> None:
    """Remove constants that nothing reads, and shapes of tensors that are computed no more."""
    gone = {*constants.computed, *constants.tensors, *choice.folded.values()}
    for inner in walk(graph):
        inputs = {value.name for value in inner.input}
        replace_nodes(
            inner,
            [
                node
                for node in inner.node
                if node.op_type != "Constant" or node.output[0] in choice.needed
            ],
        )
        for tensor in list(inner.initializer):
            if tensor.name not in choice.needed | inputs:
                inner.initializer.remove(tensor)
        for value in list(inner.value_info):
            if value.name in gone:
                inner.value_info.remove(value)


def _add_initializers(graph: GraphProto, constants: Constants, choice: Choice) -> None:
    graphs = list(walk(graph))
    for name, target in choice.folded.items():
        value = constants.values.pop(name)
        owner = graph if moves_to_main(value) else graphs[constants.owners[name]]
        owner.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), target))
