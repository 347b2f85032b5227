"""Let a Relu or a Clip read the operator before it, where both are there.

Where the codes of activations are symmetric, the lowest one does not stand for the limit of a Relu.
The tool that places Q and DQ then keeps the Relu, and rounds what it reads. A runtime that computes
an operator and its Relu at once has no such rounding, and no place for its scale.
"""

from onnx import ModelProto, NodeProto

from onnx_evoq.model.graph import drop_unread, reader_counts, reads
from onnx_evoq.model.integer.quantized_activations import LIMITS


def join_limits(placed: ModelProto) -> None:
    """Take away Q and DQ between an operator and its Relu or Clip, in place.

    They stay where another node needs the codes, too.

    Args:
        placed: a model with Q and DQ.
    """
    graph, readers = placed.graph, reader_counts(placed.graph)
    quantizers, dequantizers = (
        {node.output[0]: node for node in graph.node if node.op_type == kind}
        for kind in ("QuantizeLinear", "DequantizeLinear")
    )
    made = {name for node in graph.node for name in node.output}

    def before(node: NodeProto) -> str | None:
        dequantizer = dequantizers.get(node.input[0])
        if dequantizer is None or readers[node.input[0]] > 1:
            return None
        quantizer = quantizers.get(dequantizer.input[0])
        if quantizer is None or readers[quantizer.output[0]] > 1:
            return None
        return quantizer.input[0] if quantizer.input[0] in made else None

    for node in graph.node:
        if node.op_type in LIMITS:
            node.input[0] = before(node) or node.input[0]
    for kinds in (dequantizers, quantizers):  # first what reads, then what it read
        read = {name for node in graph.node for name in reads(node)}
        read |= {value.name for value in graph.output}
        for name, node in kinds.items():
            if name not in read:
                graph.node.remove(node)
    drop_unread(graph)
