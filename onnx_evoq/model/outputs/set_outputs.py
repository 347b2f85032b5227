"""Give a model other outputs."""

from collections.abc import Mapping, Sequence

from onnx import ModelProto, ValueInfoProto, helper

from onnx_evoq.model.graph import Network, Runnable, needed_nodes, part_of

Output = ValueInfoProto  # the name for rooms that do not import onnx


def outputs_of_model(model: ModelProto) -> list[Output]:
    """The outputs that a model states, as values of their own."""
    own = []
    for value in model.graph.output:
        own.append(ValueInfoProto())
        own[-1].CopyFrom(value)
    return own


def set_outputs(model: ModelProto, outputs: Sequence[Output]) -> None:
    """Let a model have other outputs, in place; all its nodes stay."""
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def outputs_at(
    own: Sequence[Output], names: Sequence[str], types: Mapping[str, int]
) -> list[Output]:
    """Outputs that state tensors of a model, with the shape left open where it has none.

    Args:
        own: the outputs that the model states.
        names: the tensors.
        types: the element types of those that are no outputs.
    """
    stated = {value.name: value for value in own}
    return [
        stated[name] if name in stated else helper.make_tensor_value_info(name, types[name], None)
        for name in names
    ]


def has_tensors(model: ModelProto, names: Sequence[str]) -> bool:
    """Whether nodes of the main graph compute all of some tensors."""
    return {name for node in model.graph.node for name in node.output}.issuperset(names)


def with_outputs(model: Runnable, names: Sequence[str]) -> Network:
    """The part of a model that computes some of its tensors, with these as its outputs."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    nodes = needed_nodes(model.graph, names)
    return part_of(model, nodes, list(model.graph.input), outputs)
