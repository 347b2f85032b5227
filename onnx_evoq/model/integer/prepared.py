"""Get a float model ready for QuantizeLinear and DequantizeLinear."""

from collections.abc import Collection

from onnx import ModelProto

from onnx_evoq.model.emission import at_opset
from onnx_evoq.model.graph import Runnable, all_nodes, as_network, names_in_use, unused_name

_OPSET = 13  # with axes of Q and DQ
_OPSET_OF_16_BITS = 21


def prepared(model: Runnable, *, wide: bool = False) -> ModelProto:
    """A copy of the float model with a new enough operator set, whose nodes all have names.

    Args:
        model: the float model.
        wide: whether an activation has more than 8 bits.

    Raises:
        ModelError: it cannot be converted.
    """
    changed = at_opset(as_network(model), _OPSET_OF_16_BITS if wide else _OPSET)
    used = {node.name for node in all_nodes(changed.graph)} | names_in_use(changed.graph)
    seen = set[str]()
    for node in changed.graph.node:
        if not node.name or node.name in seen:
            node.name = unused_name(node.name or node.op_type, used)
        seen.add(node.name)
    return changed


def tensor_names(model: ModelProto) -> list[str]:
    """The names of the inputs of a model, and of all that its nodes compute."""
    computed = [name for node in model.graph.node for name in node.output if name]
    return [*(value.name for value in model.graph.input), *computed]


def readers_of(model: ModelProto, names: Collection[str]) -> list[str]:
    """The names of the nodes that read one of some tensors."""
    chosen = set(names)
    return [node.name for node in model.graph.node if not chosen.isdisjoint(node.input)]
