"""Write small nodes one after the other, in the form of the operator set at hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from onnx_evoq.array_types import Array

_INPUTS_OF_SLICE = 10  # from this operator set on, limits are inputs and no attributes
_TO_THE_END = 2**31 - 1


class Chain:
    """Nodes that are written one after the other.

    Attributes:
        nodes: the nodes so far.
        opset: the operator set.

    Args:
        opset: the operator set.
        label: begins the names of all tensors that no caller names.
    """

    def __init__(self, opset: int, label: str) -> None:
        self.nodes: list[NodeProto] = []
        self.opset, self._label = opset, label

    def add(self, op_type: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return its name."""
        output = output or f"{self._label} {len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def constant(self, values: Array) -> str:
        """A constant of these values."""
        return self.add("Constant", [], value=numpy_helper.from_array(values))

    def integers(self, values: int | Sequence[int]) -> str:
        """A constant of integers."""
        return self.constant(np.array(values, np.int64))

    def part(self, tensor: str, start: int, end: int | None, axis: int = 0) -> str:
        """Some entries along an axis; up to the last one if `end` is None."""
        stop = _TO_THE_END if end is None else end
        if self.opset < _INPUTS_OF_SLICE:
            return self.add("Slice", [tensor], starts=[start], ends=[stop], axes=[axis])
        limits = [self.integers([value]) for value in (start, stop, axis)]
        return self.add("Slice", [tensor, *limits])
