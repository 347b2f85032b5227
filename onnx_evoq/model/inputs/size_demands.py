"""What the constants of a model demand of the sizes of its tensors.

1. The columns of a MatMul or Gemm are as many as the rows of its constant.
2. A tensor that is added to or multiplied by a constant (embeddings of positions, for example) has
   the size of each axis of it that is not 1.
3. A tensor that is reshaped to stated sizes has as many values. An open size in front is the batch.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from onnx_evoq.model.graph import all_nodes, attribute, is_standard
from onnx_evoq.model.inputs.constants import Constants

Shapes = Mapping[str, tuple[int | None, ...]]

_ELEMENTWISE = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True)
class SizeDemand:
    """A size that a constant demands.

    Attributes:
        place: the output of the node that reads the constant, and the axis.
        has: the size for the given shapes of the inputs.
        wanted: the size that is demanded.
    """

    place: tuple[str, int]
    has: int
    wanted: int


class SizeDemands:
    """What the constants of a model demand, for the shapes of its tensors.

    Args:
        model: a model as `load` returns it.
    """

    def __init__(self, model: ModelProto) -> None:
        self._constants = Constants(model.graph)
        kinds = ("MatMul", "Gemm", "Reshape", *_ELEMENTWISE)
        self._nodes = [
            node
            for node in all_nodes(model.graph)
            if is_standard(node) and node.op_type in kinds and self._constants.among(node)
        ]

    def at(self, shapes: Shapes) -> list[SizeDemand]:
        """The demands in the order of the nodes; without those whose size is not known.

        Args:
            shapes: of the tensors, for one sample, by name.
        """
        return [
            SizeDemand((node.output[0], axis), has, wanted)
            for node in self._nodes
            for axis, has, wanted in self._of(node, shapes)
            if has is not None
        ]

    def _of(self, node: NodeProto, shapes: Shapes) -> Iterator[tuple[int, int | None, int]]:
        """The axis, the size and the demanded size of each demand of a node."""
        first, second = node.input[:2]
        if node.op_type == "Reshape":
            yield from _reshaped(shapes.get(first), self._constants, second)
            return
        if second not in self._constants and node.op_type in _ELEMENTWISE:
            first, second = second, first
        constant, shape = self._constants.shape(second), shapes.get(first)
        if second in self._constants and constant is None:
            constant = _known(shapes.get(second))
        if not constant or not shape:
            return
        if node.op_type == "Gemm":
            has = shape[0 if attribute(node, "transA", 0) else 1]
            yield 1, has, constant[1 if attribute(node, "transB", 0) else 0]
        elif node.op_type == "MatMul":
            yield -1, shape[-1], constant[-2 if len(constant) > 1 else -1]
        else:
            for axis in range(-1, -1 - min(len(constant), len(shape)), -1):
                if constant[axis] != 1 and shape[axis] != 1:
                    yield axis, shape[axis], constant[axis]


def _reshaped(
    shape: tuple[int | None, ...] | None, constants: Constants, target: str
) -> Iterator[tuple[int, int | None, int]]:
    """The number of values of a sample that a Reshape demands."""
    sizes = constants.values(target)
    if shape is None or None in shape or sizes is None:
        return
    first, *rest = (int(size) for size in sizes.reshape(-1)) if sizes.size else (0,)
    if rest and first in (-1, 0, 1) and min(rest) > 0:
        yield 0, math.prod(size for size in shape if size is not None), math.prod(rest)


def _known(shape: tuple[int | None, ...] | None) -> tuple[int, ...] | None:
    """A shape of which all sizes are known."""
    sizes = tuple(size for size in shape or () if size is not None)
    return sizes if shape and len(sizes) == len(shape) else None
