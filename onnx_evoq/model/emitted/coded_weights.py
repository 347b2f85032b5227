"""Find the quantized weights of an emitted model, in each of its forms.

qdq     codes -> DequantizeLinear -> weight      integers, with a step in the graph
qonnx   values -> Quant -> weight                floats, with a step in the graph
float   values                                   floats, whose step the metadata tell
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.graph import QONNX_DOMAIN, all_nodes, attribute
from onnx_evoq.model.integer import CODES
from onnx_evoq.model.tensors import array_of

_NO_NUMBERS = {
    TensorProto.UNDEFINED, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128
}  # fmt: skip
_VALUES = "_values"  # at the end of the name of a weight's values in QONNX


@dataclass(frozen=True, eq=False)
class CodedWeight:
    """A quantized weight as a model stores it.

    Attributes:
        name: of the weight.
        tensor: the tensor that the operators read.
        values: the codes, or the values, in the weight's shape.
        are_codes: whether the values are codes.
        step: () or (channels,); None if the graph does not hold it.
        axis: the axis of the channels.
        zero_points: whether there is a zero point that is not 0.
    """

    name: str
    tensor: str
    values: NDArray[Any]
    are_codes: bool
    step: Float32Array | None = None
    axis: int | None = None
    zero_points: bool = False


def coded_weights(model: ModelProto, names: Collection[str]) -> list[CodedWeight]:
    """The quantized weights of a model; several of a name, if several nodes make it.

    Args:
        model: an emitted model.
        names: of the weights that were quantized.
    """
    tensors = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if tensor.data_type not in _NO_NUMBERS
    }
    found = list(_in_graph(model.graph, tensors, set(names)))
    seen = {weight.name for weight in found}
    rest = [name for name in names if name not in seen and name in tensors]
    return [*found, *(CodedWeight(n, n, array_of(tensors[n]), are_codes=False) for n in rest)]


def _in_graph(
    graph: GraphProto, tensors: Mapping[str, TensorProto], names: set[str]
) -> Iterator[CodedWeight]:
    """The weights whose step is in the graph."""
    constants = dict(tensors)
    for node in graph.node:
        for attached in node.attribute if node.op_type == "Constant" else ():
            if attached.HasField("t") and attached.t.data_type not in _NO_NUMBERS:
                constants[node.output[0]] = attached.t
    for node in all_nodes(graph):
        is_quant = node.op_type == "Quant" and node.domain == QONNX_DOMAIN
        makes_weight = (is_quant or node.op_type == "DequantizeLinear") and len(node.input) > 1
        if not makes_weight or node.input[0] not in tensors:
            continue
        stored = node.input[0].removesuffix(_VALUES) if is_quant else node.input[0]
        name = next((n for n in (node.output[0], stored.removesuffix(CODES)) if n in names), None)
        if name is not None and all(each in constants for each in node.input if each):
            yield _weight(node, name, constants, are_codes=not is_quant)


def _weight(
    node: NodeProto, name: str, constants: Mapping[str, TensorProto], *, are_codes: bool
) -> CodedWeight:
    """The weight that a node makes."""
    values, step = (array_of(constants[each]) for each in node.input[:2])
    axis: int | None = None
    if step.size > 1:
        axis = int(attribute(node, "axis", 1)) % max(1, values.ndim)
        if not are_codes:  # the step of Quant has all axes
            axis = int(np.argmax(step.shape))
    zero_points = False
    if len(node.input) > 2 and node.input[2]:
        zero_points = bool(np.any(array_of(constants[node.input[2]]).astype(np.float32) != 0))
    steps = np.asarray(step, np.float32).reshape(() if step.size == 1 else -1)
    return CodedWeight(name, node.output[0], values, are_codes, steps, axis, zero_points)
