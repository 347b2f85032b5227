"""Names for tensors that nodes hide, by which a part of a model can be asked for them.

A tensor inside a body has a value for each time that the body runs. So has what a node in a body
reads, even if it comes from a graph around.
"""

from onnx import NodeProto


def input_inside(node: NodeProto, index: int) -> str:
    """What a node in a body reads as its input `index`."""
    return f"{_label(node)}, input {index} inside"


def output_inside(node: NodeProto) -> str:
    """The first output of a node in a body."""
    return f"{_label(node)}, inside"


def gate_inputs(node: NodeProto) -> str:
    """What the weight W of a recurrent operator multiplies."""
    return f"{_label(node)}, inputs of gates"


def gate_states(node: NodeProto) -> str:
    """What the weight R of a recurrent operator multiplies."""
    return f"{_label(node)}, states before gates"


def _label(node: NodeProto) -> str:
    """The name of the node's first output; names are unique in a model that is loaded."""
    return next((name for name in node.output if name), node.name)
