"""Find the tensors that a Sigmoid at the end of a model makes scores of.

From each output, the graph is followed back through nodes that only move values. Where it comes to
a Sigmoid, what is found before it in the same way becomes scores between 0 and 1.
"""

from collections.abc import Iterable

from onnx import GraphProto

_MOVES_VALUES = {
    "Cast", "Concat", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear",
    "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


def before_last_sigmoids(graph: GraphProto) -> set[str]:
    """The tensors of the main graph that become scores by a Sigmoid, which outputs hold.

    Args:
        graph: the graph of any model.
    """
    makers = {name: node for node in graph.node for name in node.output}

    def moved(names: Iterable[str]) -> set[str]:
        """These tensors, and those whose values only move until they are there."""
        found, left = set[str](), list(names)
        while left:
            name = left.pop()
            if name in found:
                continue
            found.add(name)
            maker = makers.get(name)
            if maker is not None and maker.op_type in _MOVES_VALUES:
                left += maker.input if maker.op_type == "Concat" else maker.input[:1]
        return found

    ends = (makers.get(name) for name in moved(output.name for output in graph.output))
    return moved(node.input[0] for node in ends if node is not None and node.op_type == "Sigmoid")
