"""Count the bytes of a quantized model whose codes are packed bit by bit.

An ONNX file rounds widths up to the types that ONNX has, and it also holds a graph, names and
metadata. Hardware whose memory has words of any width needs only these bytes:

1. the codes of each weight at their own widths, rounded up to whole bytes per weight;
2. one byte for each step, its frac_bits, if all steps of the weight are powers of two; else 4;
3. all other tensors (biases, tables, constants of nodes) as the model stores them.

The widths of the channels themselves are not counted.
"""

from collections.abc import Container

from onnx_evoq.model.emission.emit import Quantized
from onnx_evoq.model.graph import Runnable, tensors_in
from onnx_evoq.model.tensors import bytes_of
from onnx_evoq.quantize import packed_size, packed_steps


def packed_bytes(model: Runnable, quantized: Quantized) -> int:
    """The bytes of `model` with the weights in `quantized` packed."""
    in_weights = sum(
        packed_size(codes.size, grid.bits) + packed_steps(grid)
        for codes, grid in quantized.values()
    )
    return in_weights + bytes_besides(model, quantized)


def bytes_besides(model: Runnable, names: Container[str]) -> int:
    """The bytes of all tensors of `model` except those with one of `names`, as they are stored."""
    others = (tensor for tensor in tensors_in(model.graph) if tensor.name not in names)
    return sum(bytes_of(tensor) for tensor in others)
