"""Which operators of a model work on integers."""

from collections import Counter

from onnx import ModelProto, NodeProto, TensorProto, helper, shape_inference

from onnx_evoq.model.graph import FLOAT_TYPES, Runnable, walk, without_values
from onnx_evoq.model.integer.quantized_activations import LIMITS, PRODUCTS

_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")
_NOTHING = ("Identity",)  # computes nothing
_CODE_TYPES = (TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16)
# Their kernels take integers and may give floats.
_FLOAT_RESULT = ("Gemm", "MatMul")


def types_of_activations(model: Runnable) -> set[str]:
    """The types of integers that a model turns activations into as it runs: "uint8", for example.

    Args:
        model: any model. A QuantizeLinear without a zero point gives uint8.
    """
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return {
        helper.tensor_dtype_to_np_dtype(
            types.get(node.input[2], TensorProto.UINT8)
            if len(node.input) > 2
            else TensorProto.UINT8
        ).name
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }


def products_in_bodies(model: Runnable) -> list[str]:
    """The convolutions and matrix products in the bodies of other nodes, where no integers go."""
    _, *inner = walk(model.graph)
    return [node.op_type for graph in inner for node in graph.node if node.op_type in PRODUCTS]


def operators(model: ModelProto) -> tuple[dict[str, int], dict[str, int]]:
    """How many nodes of each operator work on integers, and how many on floats.

    A node works on integers if its floats come from DequantizeLinear, and go to QuantizeLinear
    alone, or to a Relu or a Clip before it, so that a runtime can compute it on the codes. The two
    themselves do not count, nor do nodes without floats (those that compute shapes), nor those in
    the bodies of If and Loop.

    Args:
        model: a model with QuantizeLinear and DequantizeLinear.
    """
    graph = model.graph
    dequantized = {
        name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    codes = {
        name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.output
    }
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants, whole_numbers = {tensor.name for tensor in graph.initializer}, _not_floats(model)
    limited = set[str]()  # tensors between an operator on integers and its Relu or Clip

    def after(node: NodeProto) -> list[NodeProto]:
        return [reader for name in node.output for reader in readers.get(name, [])]

    def is_limited(node: NodeProto) -> bool:
        behind = after(node)
        return len(behind) == 1 and behind[0].op_type in LIMITS and node.op_type not in LIMITS

    def to_codes(node: NodeProto) -> bool:
        if is_limited(node):
            return to_codes(after(node)[0])
        return bool(after(node)) and all(n.op_type == "QuantizeLinear" for n in after(node))

    integer, floating = Counter[str](), Counter[str]()
    for node in graph.node:
        read = node.input[:1] if node.op_type in LIMITS else node.input  # not the limits
        inputs = [n for n in read if n and n not in constants and n not in whole_numbers]
        if codes.intersection(inputs) and node.op_type not in _CONVERSIONS:
            codes.update(node.output)  # clipped
            continue
        if node.op_type in (*_CONVERSIONS, *_NOTHING) or not inputs:
            continue
        if whole_numbers.issuperset(node.output):
            continue
        whole = (dequantized | limited).issuperset(inputs) and (
            to_codes(node) or (node.op_type in _FLOAT_RESULT and not is_limited(node))
        )
        if whole and is_limited(node):
            limited.update(node.output)
        (integer if whole else floating)[node.op_type] += 1
    return dict(sorted(integer.items())), dict(sorted(floating.items()))


def _not_floats(model: ModelProto) -> set[str]:
    """The tensors that are known to hold no floats, but for the codes of activations."""
    inferred = shape_inference.infer_shapes(without_values(model, shapes=True)).graph
    known = {
        value.name: value.type.tensor_type.elem_type
        for value in [*inferred.value_info, *inferred.input, *inferred.output]
    }
    others = (*FLOAT_TYPES, TensorProto.UNDEFINED, *_CODE_TYPES)
    return {name for name, kind in known.items() if kind not in others}
