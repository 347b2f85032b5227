"""Which tensors are the scores of a Softmax, or parts of their sum."""

from collections.abc import Iterable

from onnx import NodeProto

_BETWEEN = {
    "Add", "Cast", "Clip", "Div", "Identity", "Max", "Min", "Mul", "Reshape", "Squeeze", "Sub",
    "Transpose", "Unsqueeze", "Where",
}  # fmt: skip


def scores_of(nodes: Iterable[NodeProto]) -> set[str]:
    """The tensors that reach a Softmax through sums, products and moves alone.

    Args:
        nodes: of a graph and the graphs inside it.
    """
    scores: set[str] = set()
    for node in reversed(list(nodes)):
        is_softmax = node.op_type in ("Softmax", "LogSoftmax")
        if is_softmax or (node.op_type in _BETWEEN and not scores.isdisjoint(node.output)):
            scores.update(name for name in node.input if name)
    return scores
