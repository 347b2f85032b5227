"""Which weight a node multiplies, directly or behind views of it, and how it becomes a matrix."""

from dataclasses import dataclass

from onnx import NodeProto

from onnx_evoq.model.graph import Runnable, constant_tensors, walk
from onnx_evoq.model.inside import shown_nodes
from onnx_evoq.model.products.matrix_of import linear_of
from onnx_evoq.model.weights import path_to_initializer, views_of
from onnx_evoq.quantize import Linear, Viewed, Window


@dataclass(frozen=True)
class Read:
    """A weight that is an input of a node.

    Attributes:
        weight: the initializer.
        shape: its shape.
        linear: how it becomes a matrix; None if the layer has no closed form.
    """

    weight: str
    shape: tuple[int, ...]
    linear: Linear | None

    @property
    def channels_only(self) -> bool:
        """Whether the node's own bias has no axes but that of the channels, as in a convolution."""
        linear = self.linear.linear if isinstance(self.linear, Viewed) else self.linear
        return isinstance(linear, Window)

    @property
    def bias_shape(self) -> tuple[int, ...] | None:
        """The shape of a bias that the node takes as an input; None if it may have none."""
        shape = None if self.linear is None else self.linear.bias_shape(self.shape)
        return shape[:1] if shape is not None and self.channels_only else shape


class WeightReads:
    """Finds the weights that the nodes of a model read.

    Args:
        model: the model.
    """

    def __init__(self, model: Runnable) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {n: node for node, _ in shown_nodes(model) for n in node.output if n}
        self._constants = {
            name: tensor
            for graph in walk(model.graph)
            for name, tensor in constant_tensors(graph).items()
        }

    def of(self, node: NodeProto, index: int) -> Read | None:
        """The initializer that the input `index` of a node is a view of, None if it is of none."""
        path = path_to_initializer(node.input[index], self._producers, self._tensors)
        if path is None:
            return None
        name, nodes = path
        dims = tuple(self._tensors[name].dims)
        views = views_of(nodes, dims, self._constants)
        if views is None:
            return Read(name, dims, None)
        linear = linear_of(node, index, views[-1].shape if views else dims)
        return Read(name, dims, Viewed(linear, views) if linear is not None and views else linear)
