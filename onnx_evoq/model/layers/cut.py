"""Cut a graph at weights: what comes before them is run once, what follows is run per candidate.

1. A node belongs to the suffix if it reads one of the weights or something that a suffix node made.
2. A node that depends on no input of the model is a constant; where the suffix reads it, it is
   copied there, so that ONNX Runtime can still fold it.
3. Everything else is the prefix. Tensors that the suffix reads from it *cross* the cut.
4. Outputs of the model that depend on none of the weights are computed by the prefix alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnx_evoq.model.graph import FLOAT_TYPES, constants_of, reads
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True)
class Cut:
    """A model cut at one weight or several.

    Attributes:
        dtypes: the type that the model stores each of the weights in, by name.
        prefix: the model that computes `prefix_outputs` from the model's inputs; None where there
            is nothing to compute.
        prefix_outputs: tensors that cross the cut or are outputs of the model by themselves.
        suffix_inputs: everything that the suffix reads besides the weights: tensors that cross the
            cut, and inputs of the model.
        outputs: outputs of the model that depend on a weight, which the suffix computes.
        whole: whether the suffix is the whole model, so that nothing needs to be cached.
    """

    dtypes: Mapping[str, str]
    prefix: ModelProto | None
    prefix_outputs: tuple[str, ...]
    suffix_inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    whole: bool = False

    @property
    def label(self) -> str:
        """How messages call the weights."""
        first, *others = self.dtypes
        return f"{first!r} and {len(others)} more" if others else repr(first)


def cut_at(model: ModelProto, *weights: str) -> Cut:
    """Cut `model` at the initializers `weights`, one or several."""
    graph = model.graph
    tail, constants = _tail(graph, weights), constants_of(graph)
    made_in_tail = {name for node in tail for name in node.output if name} | set(weights)
    needed = {name for node in tail for name in reads(node)} - made_in_tail
    needed -= constants | {tensor.name for tensor in graph.initializer}
    inputs = {value.name for value in graph.input}
    outputs = [value.name for value in graph.output]
    fixed = tuple(name for name in outputs if name not in made_in_tail)
    wanted = tuple(sorted((needed - inputs) | (set(fixed) - inputs)))
    prefix = None
    if wanted:
        head = [
            node for node in graph.node if not any(name in made_in_tail for name in node.output)
        ]
        prefix = _model_of(model, head, list(graph.input), [_untyped(name) for name in wanted])
    return Cut(
        _dtypes(graph, weights),
        prefix,
        wanted,
        tuple(sorted(needed)),
        tuple(name for name in outputs if name in made_in_tail),
    )


def bridge(
    model: ModelProto, known: Sequence[TensorSpec], wanted: Sequence[str]
) -> ModelProto | None:
    """The part of a model that computes some tensors from others and from the model's inputs.

    Args:
        model: the model.
        known: type and shape of tensors that need not be computed again, inputs of the model or
            not.
        wanted: the tensors to compute; one that is known is passed on.

    Returns:
        A model that takes of the known tensors and of the model's inputs only what it reads; None
        if it would read nothing that is known.
    """
    given = {spec.name for spec in known}
    needed, nodes = set(wanted), list[NodeProto]()
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) - given:
            nodes.insert(0, node)
            needed |= reads(node)
    # A node with a known output and another one that is needed makes both anew.
    needed -= {name for node in nodes for name in node.output}
    taken = [_typed(spec) for spec in known if spec.name in needed]
    if not taken:
        return None
    inputs = [value for value in model.graph.input if value.name in needed - given]
    return _model_of(model, nodes, taken + inputs, [_untyped(name) for name in wanted])


def uncut(model: ModelProto, *weights: str) -> Cut:
    """The whole model as the suffix: for what crosses a cut, but is no tensor that NumPy knows."""
    inputs = tuple(value.name for value in model.graph.input)
    outputs = tuple(value.name for value in model.graph.output)
    return Cut(_dtypes(model.graph, weights), None, (), inputs, outputs, whole=True)


def suffix(model: ModelProto, cut: Cut, inputs: Sequence[TensorSpec]) -> ModelProto:
    """What follows the cut, with the weights as graph inputs.

    Args:
        model: the model that was cut.
        cut: as `cut_at` returned it.
        inputs: type and shape of each of `cut.suffix_inputs`, as the prefix computed them.
    """
    tensors = _tensors(model.graph, cut.dtypes)
    values = [
        helper.make_tensor_value_info(name, tensor.data_type, tuple(tensor.dims))
        for name, tensor in tensors.items()
    ]
    values += [_typed(spec) for spec in inputs]
    outputs = [_untyped(name) for name in cut.outputs]
    if cut.whole:
        return _model_of(model, list(model.graph.node), values, outputs)
    tail, constants = _tail(model.graph, cut.dtypes), constants_of(model.graph)
    constant = [node for node in model.graph.node if constants & set(node.output)]
    return _model_of(model, _needed_constants(constant, tail) + tail, values, outputs)


def _tensors(graph: GraphProto, weights: Collection[str]) -> dict[str, TensorProto]:
    """The initializers of these names, in their order."""
    found = {tensor.name: tensor for tensor in graph.initializer if tensor.name in weights}
    return {name: found[name] for name in weights}


def _dtypes(graph: GraphProto, weights: Collection[str]) -> dict[str, str]:
    return {name: FLOAT_TYPES[t.data_type] for name, t in _tensors(graph, weights).items()}


def _tail(graph: GraphProto, weights: Collection[str]) -> list[NodeProto]:
    depends = set(weights)
    tail = []
    for node in graph.node:  # in topological order, as ONNX demands
        if reads(node) & depends:
            depends.update(name for name in node.output if name)
            tail.append(node)
    return tail


def _needed_constants(constant: list[NodeProto], tail: list[NodeProto]) -> list[NodeProto]:
    needed = {name for node in tail for name in reads(node)}
    made = {name for node in tail for name in node.output}
    keep: list[NodeProto] = []
    for node in reversed(constant):
        if needed & set(node.output) - made:
            keep.insert(0, node)
            needed |= reads(node)
    return keep


def _untyped(name: str) -> ValueInfoProto:
    # ONNX Runtime infers the type of an output that states none.
    return helper.make_empty_tensor_value_info(name)


def _typed(spec: TensorSpec) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(spec.dtype)
    return helper.make_tensor_value_info(spec.name, kind, spec.shape)


def _model_of(
    model: ModelProto,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
) -> ModelProto:
    read = {name for node in nodes for name in reads(node)} | {value.name for value in outputs}
    read -= {value.name for value in inputs}
    tensors: list[TensorProto] = [t for t in model.graph.initializer if t.name in read]
    graph = helper.make_graph(nodes, model.graph.name or "graph", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
