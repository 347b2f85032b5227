"""Which nodes must stay float for the integer model to compute what the float model does.

The tool that places Q and DQ takes away each Relu and Clip behind an integer operator, since the
lowest and the highest code stand for their limits. That is right only where

1. their lower limit is 0, the lowest code of an activation that is never negative,
2. the operator before them has a scale of its own to give (a Reshape or a MaxPool has not), and
3. nothing else needs what they read or give: no body of an If or a Loop, no output of the model.

And these stay float, too:

4. a node that reads a weight which stays float, or one that is computed from a weight,
5. a node that reads a weight in no product: a table becomes integers by itself,
6. a ConvTranspose with groups, which share their steps,
7. a Gemm whose third input is computed, and scaled by beta,
8. a sum, a product of elements and the like that reads what a MatMul gives, or an operator without
   an integer form: as integers, it would need codes for that alone. So a LayerNorm of single nodes
   and what scales the products of attention stay float,
9. one that reads a constant, which would have 8 bits.
"""

from collections.abc import Collection

from onnx import ModelProto, NodeProto

from onnx_evoq.model.graph import (
    all_nodes,
    attribute,
    bodies,
    captured,
    constant_tensors,
    constants_of,
)
from onnx_evoq.model.integer.quantized_activations import LIMITS, PRODUCTS
from onnx_evoq.model.layers import clip_limits

# Their output has the scale of their input.
_SHARING = {
    "Flatten", "Gather", "GatherElements", "Identity", "MaxPool", "Pad", "Reshape", "Resize",
    "Slice", "Split", "Squeeze", "TopK", "Transpose", "Unsqueeze",
}  # fmt: skip


# They may work on integers, but gain nothing from it where they read floats.
_BY_ELEMENT = {
    "Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid", "Where",
}  # fmt: skip
_INTEGER_RESULT = {*PRODUCTS, *_BY_ELEMENT, *_SHARING, *LIMITS} - {"MatMul"}


def float_nodes(model: ModelProto, weights: Collection[str], kept: Collection[str]) -> list[str]:
    """The names of the nodes that stay float.

    Args:
        model: the float model, prepared.
        weights: names of the weights that become integers.
        kept: names of those that stay float.
    """
    graph, inner = model.graph, set[str]()
    for node in all_nodes(graph):
        for body in bodies(node):
            inner |= captured(body)
    needed = inner | {value.name for value in graph.output}
    makers = {name: node for node in graph.node for name in node.output}
    initializers = {tensor.name for tensor in graph.initializer}
    computed = constants_of(graph) - initializers
    constants = computed | initializers
    tensors = constant_tensors(graph)
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    viewed = computed & {name for node in products for name in node.input}

    def removable(node: NodeProto) -> bool:
        if node.op_type == "Clip":
            limits = clip_limits(node, tensors)
            if limits is None or limits[0] != 0 or not limits[1] > 0:
                return False
        maker = makers.get(node.input[0])
        shares = maker is not None and maker.op_type in _SHARING
        return not shares and node.input[0] not in needed and node.output[0] not in inner

    def stays(node: NodeProto) -> bool:
        read = set(node.input)
        if read & set(kept):
            return True
        if (read & set(weights) and node.op_type not in PRODUCTS) or set(node.output) & viewed:
            return True
        if node.op_type in PRODUCTS and read & computed:
            return True
        if node.op_type in LIMITS:
            return not removable(node)
        if node.op_type == "ConvTranspose":
            return attribute(node, "group", 1) > 1
        scaled = node.op_type == "Gemm" and attribute(node, "beta", 1) != 1 and len(node.input) > 2
        return scaled and node.input[2] not in initializers

    staying = {node.name for node in graph.node if stays(node)}
    floats = set[str]()  # what operators give that have no integer result
    for node in graph.node:
        # The other inputs of those that share a scale are shapes and indices.
        values = node.input[:1] if node.op_type in _SHARING | {*LIMITS} else node.input
        reads_floats = not floats.isdisjoint(values) and node.op_type not in PRODUCTS
        reads_constants = not constants.isdisjoint(node.input)
        if (reads_floats or reads_constants) and node.op_type in _BY_ELEMENT:
            staying.add(node.name)
        if reads_floats or node.op_type not in _INTEGER_RESULT:
            floats.update(set(node.output) - computed)
    return [node.name for node in graph.node if node.name in staying]
