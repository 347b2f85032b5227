"""What a quantized model's numbers take if codes are laid side by side, bit by bit.

A file rounds widths up to the types that ONNX has, and holds a graph, names and metadata besides.
Hardware whose memory has words of any width holds

1. each weight's codes at their own widths, rounded up to whole bytes by weight;
2. for each step, of a tensor or a channel, its frac_bits, a byte; 4 bytes unless all steps of the
   weight are powers of two;
3. all other tensors (biases, tables, constants of nodes) as the model stores them.

Which width a channel has is not counted.
"""

from collections.abc import Container

from onnx import ModelProto, TensorProto, numpy_helper

from onnx_evoq.model.graph.emit import Quantized
from onnx_evoq.model.graph.nodes import tensors_in
from onnx_evoq.quantize import packed_size, packed_steps


def packed_bytes(model: ModelProto, quantized: Quantized) -> int:
    """The bytes of `model` with the weights in `quantized` packed."""
    own = sum(
        packed_size(codes.size, grid.bits) + packed_steps(grid)
        for codes, grid in quantized.values()
    )
    return own + bytes_besides(model, quantized)


def bytes_besides(model: ModelProto, names: Container[str]) -> int:
    """The bytes of all tensors of `model` but those of these names, as they are stored."""
    others = (tensor for tensor in tensors_in(model.graph) if tensor.name not in names)
    return sum(_stored_bytes(tensor) for tensor in others)


def _stored_bytes(tensor: TensorProto) -> int:
    if tensor.data_type == TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    return len(tensor.raw_data) or int(numpy_helper.to_array(tensor).nbytes)
