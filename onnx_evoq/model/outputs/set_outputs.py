"""Give a model other outputs."""

from collections.abc import Mapping, Sequence

from onnx import ModelProto, ValueInfoProto, helper

from onnx_evoq.model.graph import Network, Runnable, needed_nodes, part_of, replace_nodes
from onnx_evoq.model.outputs.operators import FLOATS

Output = ValueInfoProto  # the name for rooms that do not import onnx

_UNKNOWN = "LpNormalization"  # which no step takes for one that passes channels on


def outputs_of_model(model: ModelProto) -> list[Output]:
    """The outputs that a model states, as values of their own."""
    own = []
    for value in model.graph.output:
        own.append(ValueInfoProto())
        own[-1].CopyFrom(value)
    return own


def replace_outputs(model: ModelProto, scored: Sequence[Output], own: Sequence[Output]) -> None:
    """Let the tensors at which a model is scored be its outputs, in place; all its nodes stay.

    Each of its own outputs of floats gets a reader that is never run, so that no step changes the
    scale or the number of channels of what it reads.

    Args:
        model: the model.
        scored: the tensors, as outputs.
        own: its own outputs.
    """
    restore_outputs(model, own)  # it may have been done before
    stated = {value.name for value in scored}
    for value in own:
        if value.name not in stated and value.type.tensor_type.elem_type in FLOATS:
            model.graph.node.append(helper.make_node(_UNKNOWN, [value.name], [_reader(value.name)]))
    _set_outputs(model, scored)


def restore_outputs(model: ModelProto, own: Sequence[Output]) -> None:
    """Let a model have its own outputs again, in place."""
    readers = {_reader(value.name) for value in own}
    kept = [node for node in model.graph.node if readers.isdisjoint(node.output)]
    if len(kept) < len(model.graph.node):
        replace_nodes(model.graph, kept)
    _set_outputs(model, own)


def _set_outputs(model: ModelProto, outputs: Sequence[Output]) -> None:
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def _reader(name: str) -> str:
    """What the reader of an output that is not scored would make."""
    return f"{name}, not scored"


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


def has_tensors(model: Runnable, names: Sequence[str]) -> bool:
    """Whether nodes of the main graph compute all of some tensors."""
    return {name for node in model.graph.node for name in node.output}.issuperset(names)


def with_outputs(model: Runnable, names: Sequence[str]) -> Network:
    """The part of a model that computes some of its tensors, with these as its outputs."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    nodes = needed_nodes(model.graph, names)
    return part_of(model, nodes, list(model.graph.input), outputs)
