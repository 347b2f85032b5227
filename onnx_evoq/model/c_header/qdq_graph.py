"""Read a graph with QuantizeLinear (Q) and DequantizeLinear (D) as tensors that have codes.

    x -> Q -> codes -> (Clip, Cast) -> D -> x'        an activation, named x
    codes -> D -> (Identity, Cast, Transpose) -> w    a constant, with its steps

The activation is named x' instead if that is an output of the model, or if x is read as it is, too.
Where a Relu or a Clip makes x, the limits of the codes are its limits, too: Q keeps the order of
values, so that it may come first.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper, shape_inference

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.model.graph import (
    attribute,
    constant_tensors,
    is_standard,
    reads,
    without_values,
)
from onnx_evoq.model.layers import clip_limits
from onnx_evoq.model.tensors import array_of
from onnx_evoq.quantize import frac_bits_of

_KEEPING_CODES = ("Clip", "Cast")


@dataclass(frozen=True)
class CodeFormat:
    """How the codes of an activation stand for its values.

    Attributes:
        bits: of the type that holds a code, 8 or 16.
        signed: whether that type is signed.
        scale: the distance of two values, ``value = scale * (code - zero_point)``.
        zero_point: the code of 0.
        lowest: the lowest code; those below are clipped.
        highest: likewise, the highest.
    """

    bits: int
    signed: bool
    scale: float
    zero_point: int
    lowest: int
    highest: int

    @property
    def frac_bits(self) -> int | None:
        """Bits behind the binary point; None if the scale is no power of two."""
        found = frac_bits_of(self.scale)
        return None if found is None else int(found)


@dataclass(frozen=True, eq=False)
class ConstantCodes:
    """A constant that DequantizeLinear makes from codes.

    Attributes:
        name: of the tensor of codes.
        codes: in the shape of the constant.
        steps: one number, or one for each entry along `axis`.
        zero_point: of the codes, one number or as many as steps.
        axis: that the steps lie along; None for one step.
    """

    name: str
    codes: Array
    steps: Float32Array
    zero_point: Array
    axis: int | None


class QdqGraph:
    """The activations of a model, the codes of its constants, and the shapes of its tensors.

    Attributes:
        nodes: the nodes of the graph, in its order.
        constants: the initializers and the values of Constant nodes, by name.
        formats: of the activations that have codes, by name, in the graph's order.
        codes: the integer tensors of the graph.
    """

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.nodes = list(graph.node)
        self.constants = constant_tensors(graph)
        self.formats: dict[str, CodeFormat] = {}
        self.codes: set[str] = set()
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._outputs = {value.name for value in graph.output}
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        self._names: dict[str, str] = {}  # of an activation by the tensors around its codes
        for node in graph.node:
            for name in reads(node):
                self._readers[name].append(node)
        for node in graph.node:
            if node.op_type == "DequantizeLinear":
                self._add_activation(node)
        self._dims = {
            value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for inferred in [shape_inference.infer_shapes(without_values(model, shapes=True)).graph]
            for value in [*inferred.value_info, *inferred.input, *inferred.output]
        }

    def name_read(self, tensor: str) -> str:
        """The name of the activation, or of the constant, that a node reads as `tensor`."""
        return self._names.get(tensor, tensor)

    def name_given(self, tensor: str) -> str:
        """The name of what a node gives as `tensor`: an activation if only Q reads it."""
        reader = self.only_reader(tensor)
        if reader is None or reader.op_type != "QuantizeLinear":
            return tensor
        return self._names.get(reader.output[0], tensor)

    def only_reader(self, tensor: str) -> NodeProto | None:
        """The node that alone reads a tensor; None if it is an output of the model, too."""
        readers = self._readers[tensor]
        return readers[0] if len(readers) == 1 and tensor not in self._outputs else None

    def limiting(self, tensor: str) -> NodeProto | None:
        """The Relu or Clip that alone reads a tensor, if the limits of codes stand for it."""
        reader = self.only_reader(tensor)
        if reader is None or self._limits(reader) is None:
            return None
        given = self.name_given(reader.output[0])
        return reader if given in self.formats else None

    def dims(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, 0 where it is open; empty if nothing is known of it."""
        return self._dims.get(name, ())

    def constant_codes(self, tensor: str) -> ConstantCodes | None:
        """The codes and the steps of a constant; None if it has none."""
        maker = self._makers.get(tensor)
        if maker is None:
            return None
        if maker.op_type == "DequantizeLinear":
            return self._dequantized(maker)
        if maker.op_type not in ("Identity", "Cast", "Transpose"):
            return None
        found = self.constant_codes(maker.input[0])
        if found is None or maker.op_type != "Transpose":
            return found
        order = list(reversed(range(found.codes.ndim)))
        for each in maker.attribute:
            order = list(each.ints) if each.name == "perm" else order
        axis = None if found.axis is None else order.index(found.axis)
        return replace(found, codes=found.codes.transpose(order), axis=axis)

    def value(self, tensor: str) -> Array | None:
        """The value of a float constant, also where it is cast; None for any other tensor."""
        maker = self._makers.get(tensor)
        while tensor not in self.constants and maker is not None and maker.op_type == "Cast":
            tensor, maker = maker.input[0], self._makers.get(maker.input[0])
        return None if tensor not in self.constants else self._array(tensor)

    def _array(self, name: str) -> Array:
        return array_of(self.constants[name])

    def _dequantized(self, node: NodeProto) -> ConstantCodes | None:
        names = [name for name in node.input if name]
        if not all(name in self.constants for name in names):
            return None
        codes, steps = self._array(names[0]), np.asarray(self._array(names[1]), np.float32)
        zero = self._array(names[2]) if len(names) > 2 else np.zeros((), np.int8)
        if steps.size == 1:
            return ConstantCodes(names[0], codes, steps.reshape(-1), zero, None)
        axis = int(attribute(node, "axis", 1)) % codes.ndim
        return ConstantCodes(names[0], codes, steps, zero, axis) if steps.ndim == 1 else None

    def _add_activation(self, node: NodeProto) -> None:
        """Take up the activation whose codes a DequantizeLinear reads."""
        between: list[NodeProto] = []
        maker = self._makers.get(node.input[0])
        while maker is not None and maker.op_type in _KEEPING_CODES:
            between.append(maker)
            maker = self._makers.get(maker.input[0])
        if maker is None or maker.op_type != "QuantizeLinear" or maker.input[0] in self.constants:
            return
        found = self._format(maker, between)
        if found is None:
            return
        given, codes, read = maker.input[0], maker.output[0], node.output[0]
        plain = read not in self._outputs and self.only_reader(given) is maker
        name = self._names.get(codes, given if plain else read)
        self.formats[name] = found
        self._names.update({codes: name, read: name})
        self.codes.update([codes, *(each.output[0] for each in between)])

    def _format(self, quantizer: NodeProto, between: list[NodeProto]) -> CodeFormat | None:
        """The format of an activation; None if it has several scales, or computed ones."""
        names = [*quantizer.input[1:], *(name for each in between for name in each.input[1:])]
        if len(quantizer.input) < 3 or not all(n in self.constants for n in names if n):
            return None
        scale, zero = (self._array(name) for name in quantizer.input[1:3])
        if scale.size != 1 or zero.dtype.kind not in "iu" or zero.dtype.itemsize > 2:
            return None
        limits = np.iinfo(zero.dtype.name)
        low, high = int(limits.min), int(limits.max)
        for each in between:
            stated = [int(self._array(n)) if n else None for n in each.input[1:]]
            low = max([low, *(end for end in stated[:1] if end is not None)])
            high = min([high, *(end for end in stated[1:] if end is not None)])
        step, middle = float(scale.item()), int(zero.item())
        maker = self._makers.get(quantizer.input[0])
        ends = None if maker is None else self._limits(maker)
        if ends is not None:  # infinite where there is none
            codes = np.clip(
                np.rint(np.array(ends, np.float32) / np.float32(step)) + middle, low, high
            )
            low, high = int(codes[0]), int(codes[1])
        return CodeFormat(limits.bits, zero.dtype.kind == "i", step, middle, low, high)

    def _limits(self, node: NodeProto) -> tuple[float, float] | None:
        """The lowest and the highest value that a Relu or a Clip gives; None if not known."""
        if node.op_type == "Relu" and is_standard(node):
            return 0, np.inf
        if node.op_type == "Clip" and is_standard(node):
            return clip_limits(node, self.constants)
        return None


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """The attributes that a node states, by name."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
