"""Which tensors a graph pools over all of their positions."""

from onnx import ModelProto

from onnx_evoq.model.graph import all_nodes

_POOLS = ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "ReduceMean", "ReduceMax")


def pooled_tensors(model: ModelProto) -> set[str]:
    """The names of the tensors that a global pooling or a mean reads.

    Args:
        model: a model as `load` returns it.
    """
    return {
        node.input[0] for node in all_nodes(model.graph) if node.op_type in _POOLS and node.input
    }
