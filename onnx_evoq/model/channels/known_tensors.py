"""What is known of each tensor of a graph: its channel ids, and its values if it is constant."""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto

from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO, IdTensor
from onnx_evoq.model.constants import MOST_VALUES, NodeValues, Shape, count, shapes_of
from onnx_evoq.model.graph import bodies, input_specs, is_standard
from onnx_evoq.model.layers import LinearLayer
from onnx_evoq.model.tensors import array_of


class KnownTensors:
    """The ids and the constants of a graph's tensors, by name.

    At first these are the initializers, the inputs of the model, whose ids are PINNED, and the
    biases of the layers. A bias is scaled together with the sum that it is added to, so its ids
    are ZERO, and it does not count as a constant.

    Attributes:
        ids: the id tensors, of one sample; without tensors of unknown shape.
        constants: the values of tensors that depend on no input of the model.
    """

    def __init__(self, model: ModelProto, layers: Sequence[LinearLayer]) -> None:
        self._model = model
        self.ids: dict[str, IdTensor] = {}
        self.constants: dict[str, NodeValues] = {
            tensor.name: array_of(tensor) for tensor in model.graph.initializer
        }
        for layer in layers:
            for name in layer.biases:
                self.ids[name] = filled_ids(ZERO, self.constants.pop(name).shape)
        for spec in input_specs(model):
            # An open first axis is the axis of the samples.
            if spec.shape is not None and None not in spec.shape[1:]:
                shape = tuple(size or 1 for size in spec.shape)
                if count(shape) <= MOST_VALUES:
                    self.ids[spec.name] = filled_ids(PINNED, shape)

    def read(self, name: str) -> IdTensor | None:
        """The ids of a tensor, None if they are not known; a very large constant is PINNED."""
        if name in self.ids or name not in self.constants:
            return self.ids.get(name)
        constant = self.constants[name]
        if constant.size > MOST_VALUES:
            return filled_ids(PINNED, constant.shape)
        return ids_of_values(constant)

    def read_all(self, node: NodeProto) -> list[IdTensor] | None:
        """The ids of all inputs of a node, None if those of one are not known."""
        tensors = [self.read(name) for name in node.input]
        known = [tensor for tensor in tensors if tensor is not None]
        return known if len(known) == len(tensors) else None

    def shape(self, node: NodeProto) -> Shape | None:
        """The shape of the first output of a node, None if it is not known."""
        return self.shapes(node)[0]

    def shapes(self, node: NodeProto) -> list[Shape | None]:
        """The shapes of the outputs of a node, None for one that is unknown, empty or too large."""
        unknown: list[Shape | None] = [None for _ in node.output]
        if not is_standard(node) or any(bodies(node)):
            return unknown
        inputs: list[NodeValues | None] = []
        for name in node.input:
            value = self.constants[name] if name in self.constants else self.ids.get(name)
            if name and value is None:
                return unknown
            inputs.append(value)
        constant = [name in self.constants for name in node.input]
        return [
            shape if shape is not None and 0 < count(shape) <= MOST_VALUES else None
            for shape in shapes_of(node, inputs, constant, self._model)
        ]


def filled_ids(entry: int, shape: Shape) -> IdTensor:
    """An id tensor of that shape with one id everywhere, which takes no memory."""
    return np.broadcast_to(np.int32(entry), shape)


def ids_of_values(constant: NodeValues) -> IdTensor:
    """The ids of a constant: ZERO where it is 0, else PINNED."""
    return np.where(constant == 0, np.int32(ZERO), np.int32(PINNED))
