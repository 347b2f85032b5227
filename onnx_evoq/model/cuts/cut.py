"""Cut a graph at weights, so that its prefix is run once and its suffix once per candidate.

1. A node belongs to the suffix if it reads one of the weights or an output of a suffix node.
2. A node that depends on no input of the model is a constant. If the suffix reads it, it is copied
   into the suffix, so that ONNX Runtime can still fold it.
3. All other nodes are the prefix. The tensors that the suffix reads from it *cross* the cut.
4. Outputs of the model that depend on none of the weights are computed by the prefix.
5. Nodes that no output depends on are in neither.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnx_evoq.model.cuts.part_inputs import part_inputs
from onnx_evoq.model.graph import (
    Network,
    Runnable,
    constants_of,
    needed_nodes,
    part_of,
    reads,
)
from onnx_evoq.model.inside import with_shown
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True)
class Cut:
    """A model cut at one weight or several.

    Attributes:
        dtypes: the type that the model stores each of the weights in, by name.
        prefix: the model that computes `prefix_outputs` from the model's inputs; None if there are
            no such outputs.
        prefix_outputs: the tensors that cross the cut, and the model's outputs that depend on no
            weight.
        suffix_inputs: all that the suffix reads besides the weights: tensors that cross the cut,
            and inputs of the model.
        outputs: the outputs of the model that depend on a weight; the suffix computes them.
        whole: whether the suffix is the whole model, so that there is nothing to cache.
    """

    dtypes: Mapping[str, str]
    prefix: Network | None
    prefix_outputs: tuple[str, ...]
    suffix_inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    whole: bool = False

    @property
    def label(self) -> str:
        """The weights in a message: the first name, and how many more there are."""
        first, *others = self.dtypes
        return f"{first!r} and {len(others)} more" if others else repr(first)


def cut_at(model: Runnable, *weights: str) -> Cut:
    """Cut `model` at the initializers `weights`, one or several."""
    graph = model.graph
    in_suffix, constants = _suffix_nodes(graph, weights), constants_of(graph)
    depending = {name for node in in_suffix for name in node.output if name} | set(weights)
    needed = {name for node in in_suffix for name in reads(node)} - depending
    needed -= constants | {tensor.name for tensor in graph.initializer}
    inputs = {value.name for value in graph.input}
    outputs = [value.name for value in graph.output]
    prefix_outputs = tuple(sorted((needed | (set(outputs) - depending)) - inputs))
    prefix = None
    if prefix_outputs:
        before = [n for n in needed_nodes(graph) if depending.isdisjoint(n.output)]
        typeless = [_untyped(name) for name in prefix_outputs]
        prefix = part_of(model, before, list(graph.input), typeless)
    return Cut(
        _dtypes(graph, weights),
        prefix,
        prefix_outputs,
        tuple(sorted(needed)),
        tuple(name for name in outputs if name in depending),
    )


def frontier_before(model: Runnable, weights: Sequence[str]) -> tuple[str, ...]:
    """The tensors that do not depend on some weights, and that the nodes which do so read.

    Inputs of the model are left out.

    Args:
        model: the model.
        weights: the weights; without any, nothing is left to read a tensor.
    """
    graph = model.graph
    behind, constants = _suffix_nodes(graph, weights), constants_of(graph)
    depending = {name for node in behind for name in node.output if name} | set(weights)
    needed = {name for node in behind for name in reads(node)} - depending - constants
    given = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    return tuple(sorted(needed - given))


def bridge(model: Runnable, known: Sequence[TensorSpec], wanted: Sequence[str]) -> Network | None:
    """The part of a model that computes some tensors from others and from the model's inputs.

    Args:
        model: the model.
        known: the types and shapes of tensors whose values are known; some may be inputs of the
            model.
        wanted: the tensors to compute; one that is known is passed on. Those that nodes hide have
            the names that `model.inside` gives them.

    Returns:
        A model whose inputs are the known tensors and the model's inputs that it reads; None if it
        would read no known tensor.
    """
    given = {spec.name for spec in known}
    needed, nodes = set(wanted), list[NodeProto]()
    for node in reversed(with_shown(model, wanted)):
        if needed.intersection(node.output) - given:
            nodes.insert(0, node)
            needed |= reads(node)
    # A node with one known output and one needed output computes both.
    needed -= {name for node in nodes for name in node.output}
    taken = [spec for spec in known if spec.name in needed]
    if not taken:
        return None
    inputs = [value for value in model.graph.input if value.name in needed - given]
    values = part_inputs(model, nodes, taken) + inputs
    return part_of(model, nodes, values, [_untyped(name) for name in wanted])


def uncut(model: Runnable, *weights: str) -> Cut:
    """The whole model as the suffix, for cuts that a value crosses which is no NumPy array."""
    inputs = tuple(value.name for value in model.graph.input)
    outputs = tuple(value.name for value in model.graph.output)
    return Cut(_dtypes(model.graph, weights), None, (), inputs, outputs, whole=True)


def suffix(model: Runnable, cut: Cut, inputs: Sequence[TensorSpec]) -> Network:
    """The suffix of a cut as a model, with the weights as inputs.

    Args:
        model: the model that was cut.
        cut: the cut, from `cut_at` or `uncut`.
        inputs: the type and shape of each of `cut.suffix_inputs`, as the prefix computed them.
    """
    tensors = _tensors(model.graph, cut.dtypes)
    values = [
        helper.make_tensor_value_info(name, tensor.data_type, tuple(tensor.dims))
        for name, tensor in tensors.items()
    ]
    nodes = needed_nodes(model.graph)
    if not cut.whole:
        in_suffix, constants = _suffix_nodes(model.graph, cut.dtypes), constants_of(model.graph)
        constant = [node for node in nodes if constants & set(node.output)]
        nodes = _needed_constants(constant, in_suffix) + in_suffix
    values += part_inputs(model, nodes, inputs)
    return part_of(model, nodes, values, [_untyped(name) for name in cut.outputs])


def _tensors(graph: GraphProto, weights: Collection[str]) -> dict[str, TensorProto]:
    """The initializers with the names `weights`, in the order of these."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return {name: tensors[name] for name in weights}


def _dtypes(graph: GraphProto, weights: Collection[str]) -> dict[str, str]:
    return {
        name: str(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        for name, tensor in _tensors(graph, weights).items()
    }


def _suffix_nodes(graph: GraphProto, weights: Collection[str]) -> list[NodeProto]:
    depending = set(weights)
    in_suffix = []
    for node in needed_nodes(graph):  # in topological order, as ONNX demands
        if reads(node) & depending:
            depending.update(name for name in node.output if name)
            in_suffix.append(node)
    return in_suffix


def _needed_constants(constant: list[NodeProto], in_suffix: list[NodeProto]) -> list[NodeProto]:
    """The constant nodes that suffix nodes read, directly or through each other."""
    needed = {name for node in in_suffix for name in reads(node)}
    present = {name for node in in_suffix for name in node.output}  # a weight's Transpose, say
    keep: list[NodeProto] = []
    for node in reversed(constant):
        if needed & set(node.output) - present:
            keep.insert(0, node)
            needed |= reads(node)
    return keep


def _untyped(name: str) -> ValueInfoProto:
    # ONNX Runtime infers the type of an output that states none.
    return helper.make_empty_tensor_value_info(name)
