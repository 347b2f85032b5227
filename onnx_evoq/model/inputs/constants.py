"""The numbers that a graph and the graphs inside it hold."""

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper

from onnx_evoq.array_types import Float64Array
from onnx_evoq.model.graph import constant_tensors, constants_of, walk
from onnx_evoq.model.tensors import array_of

_MOST = 1 << 16  # values of a tensor: larger ones are weights


class Constants:
    """The constant tensors of a graph and of the graphs inside it, by name.

    What nodes compute from constants alone is constant, too, but its values are not known.

    Args:
        graph: the graph of a model as `load` returns it.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._tensors: dict[str, TensorProto] = {}
        for inner in walk(graph):
            self._tensors.update(constant_tensors(inner))
        self._computed = constants_of(graph)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors or name in self._computed

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; None if it is not known, or no constant."""
        return tuple(self._tensors[name].dims) if name in self._tensors else None

    def dtype(self, name: str) -> np.dtype | None:
        """The type of a tensor; None if it is no constant."""
        if name not in self._tensors:
            return None
        return np.dtype(helper.tensor_dtype_to_np_dtype(self._tensors[name].data_type))

    def values(self, name: str) -> Float64Array | None:
        """The values of a tensor; None if it is no constant, no number, or too large."""
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type == TensorProto.STRING:
            return None
        if int(np.prod(tensor.dims, dtype=np.int64)) > _MOST:
            return None
        return np.asarray(array_of(tensor), np.float64)

    def number(self, name: str) -> float | None:
        """The value of a tensor that holds one number, as often as it will; None of others."""
        values = self.values(name)
        if values is None or not values.size or values.min() != values.max():
            return None
        return float(values.flat[0])

    def among(self, node: NodeProto) -> bool:
        """Whether a constant is among the inputs of a node."""
        return any(name in self for name in node.input)
