"""Leave the outputs of a model floats where the last operator can give them."""

from onnx import ModelProto, NodeProto

from onnx_evoq.model.graph import drop_unread
from onnx_evoq.model.integer.quantized_activations import at_the_ends, quantized_activations

_GIVE_FLOATS = ("Gemm",)  # their integer kernels have a float result, too


def leave_outputs_float(placed: ModelProto, model: ModelProto) -> None:
    """Take away the Q and DQ of what a Gemm gives and no other activation depends on, in place.

    A classifier's logits reach far in one direction, and codes about 0 waste half of their range.

    Args:
        placed: a model with Q and DQ.
        model: the float model that it was made from.
    """
    graph, (_, last) = placed.graph, at_the_ends(placed)
    makers = {name: node for node in graph.node for name in node.output}
    # A Relu or a Clip that the codes stand for is gone from the placed model.
    plain = {n.output[0] for n in model.graph.node if n.op_type in _GIVE_FLOATS}
    quantizers = {n.output[0]: n for n in graph.node if n.op_type == "QuantizeLinear"}
    gone: list[NodeProto] = []
    for tensor in quantized_activations(placed):
        maker = makers.get(quantizers[tensor.codes].input[0])
        if tensor.name not in last & plain or maker is None:
            continue
        # The Gemm itself gives what other nodes, or the user, read.
        index = list(maker.output).index(quantizers[tensor.codes].input[0])
        maker.output[index] = tensor.dequantized
        gone += [quantizers[tensor.codes], makers[tensor.dequantized]]
    for node in gone:
        graph.node.remove(node)
    drop_unread(graph)
