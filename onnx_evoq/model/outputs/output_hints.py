"""What the graph says of its outputs: how many channels they have, and whether they are logits.

From each output, the graph is followed back to the layers that give it (Conv, ConvTranspose, Gemm
and MatMul). Their channels are those of the output, whatever nodes without weights come between:
these move axes, but keep the number of channels. A Concat may join channels, or positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from onnx import GraphProto, ModelProto, NodeProto

from onnx_evoq.model.graph import attribute
from onnx_evoq.signature import OutputHint

_MOST_NODES = 64  # between an output and a layer
_KEEPS_VALUES = {
    "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout",
    "QuantizeLinear", "DequantizeLinear",
}  # fmt: skip
_PROBABILITIES = {"Sigmoid", "HardSigmoid", "Softmax"}
_CONVOLUTIONS = {"Conv", "FusedConv"}
_PRODUCTS = {"MatMul", "FusedMatMul"}
_LOGITS = {
    *_CONVOLUTIONS, *_PRODUCTS, "ConvTranspose", "Gemm", "Add", "Sub", "LogSoftmax",
    "BatchNormalization", "Log",
}  # fmt: skip


def output_hints(model: ModelProto) -> dict[str, OutputHint]:
    """What the graph says of each output, by name.

    Args:
        model: any model; its weights may be quantized.
    """
    graph = _Graph.of(model.graph)
    return {
        output.name: OutputHint(
            graph.channels(output.name, _MOST_NODES) - {1}, graph.are_probabilities(output.name)
        )
        for output in model.graph.output
    }


@dataclass(frozen=True)
class _Graph:
    """The nodes of a graph by what they give, and the shapes of its initializers."""

    makers: Mapping[str, NodeProto]
    shapes: Mapping[str, tuple[int, ...]]
    known: dict[str, frozenset[int]] = field(default_factory=dict)  # channels by tensor

    @classmethod
    def of(cls, graph: GraphProto) -> "_Graph":
        return cls(
            {name: node for node in graph.node for name in node.output},
            {tensor.name: tuple(tensor.dims) for tensor in graph.initializer},
        )

    def channels(self, name: str, most: int) -> frozenset[int]:
        """How many channels a tensor may have, as far as `most` nodes before it tell."""
        if name not in self.known:
            self.known[name] = frozenset()  # while it is not known, for a broken graph with a cycle
            self.known[name] = self._channels(name, most)
        return self.known[name]

    def _channels(self, name: str, most: int) -> frozenset[int]:
        maker = self.makers.get(name)
        if maker is None or not most:
            return frozenset()
        own = self._own_channels(maker)
        if own is not None:
            return frozenset([own] if own else [])
        found = [self.channels(each, most - 1) for each in maker.input if each in self.makers]
        every = frozenset[int]().union(*found)
        if maker.op_type != "Concat" or not all(len(each) == 1 for each in found):
            return every
        joined = sum(count for each in found for count in each)
        return frozenset([joined, *every] if len(every) == 1 else [joined])

    def _own_channels(self, node: NodeProto) -> int | None:
        """The output channels of a layer, 0 if they are not known; None for another node."""
        if node.op_type not in _CONVOLUTIONS | _PRODUCTS | {"ConvTranspose", "Gemm"}:
            return None
        shape = self._constant_shape(node.input[1])
        if len(shape) < 2:
            return 0
        if node.op_type in _CONVOLUTIONS:
            return shape[0]
        if node.op_type == "ConvTranspose":
            return shape[1] * int(attribute(node, "group", 1))
        transposed = int(attribute(node, "transB", 0))
        return shape[-2] if transposed else shape[-1]

    def _constant_shape(self, name: str) -> tuple[int, ...]:
        """The shape of an initializer, also behind nodes that give it a type; empty for others."""
        for _ in range(_MOST_NODES):
            if name in self.shapes or name not in self.makers:
                return self.shapes.get(name, ())
            maker = self.makers[name]
            if maker.op_type not in ("DequantizeLinear", "QuantizeLinear", "Cast", "Identity"):
                return ()
            name = maker.input[0]
        return ()

    def are_probabilities(self, name: str) -> bool | None:
        """Whether the last node that computes values gives probabilities; None if it may or not."""
        for _ in range(_MOST_NODES):
            maker = self.makers.get(name)
            if maker is None:
                return None
            if maker.op_type not in _KEEPS_VALUES:
                break
            name = maker.input[0]
        else:
            return None
        if maker.op_type in _PROBABILITIES:
            return True
        return False if maker.op_type in _LOGITS else None
