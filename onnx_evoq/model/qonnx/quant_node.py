"""The Quant node of QONNX (arXiv 2206.07527): a tensor of floats, put on a grid of any width.

It has four inputs: x, scale, zeropt and bitwidth. With a zeropt of 0, as here, it gives

    y = scale * round(clip(x / scale, low, high))

with ties to even, and

    low, high = -2^(bits-1), 2^(bits-1) - 1    signed; narrow leaves the lowest code out
    low, high = 0, 2^bits - 1                  unsigned
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.graph import QONNX_DOMAIN, unused_name


@dataclass(frozen=True)
class CodeRange:
    """The codes of a width.

    Attributes:
        bits: the width.
        signed: whether there are negative codes.
        narrow: whether the lowest code is left out, so that the range is symmetric.

    Example:
        >>> [(r.low, r.high) for r in (CodeRange(4), CodeRange(4, narrow=True))]
        [(-8, 7), (-7, 7)]
        >>> CodeRange(4, signed=False).high
        15
    """

    bits: int
    signed: bool = True
    narrow: bool = False

    @property
    def low(self) -> int:
        """The lowest code."""
        return self.narrow - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The highest code."""
        return (1 << (self.bits - self.signed)) - 1


def narrowest_range(low: int, high: int) -> CodeRange:
    """The range of the fewest bits that holds all codes from `low` to `high`.

    It is signed if `low` is negative. Signed codes have 2 bits or more, since those of 1 bit are
    -1 and 1 in QONNX.

    Example:
        >>> narrowest_range(0, 96)
        CodeRange(bits=7, signed=False, narrow=False)
        >>> narrowest_range(-127, 127)
        CodeRange(bits=8, signed=True, narrow=True)
    """
    if low >= 0:
        return CodeRange(max(1, high.bit_length()), signed=False)
    bits = 1 + max(1, (-low - 1).bit_length(), high.bit_length())
    return CodeRange(bits, narrow=low == CodeRange(bits, narrow=True).low)


def quant_nodes(
    x: str, y: str, scale: Float32Array, codes: CodeRange, label: str, used: set[str]
) -> list[NodeProto]:
    """The nodes that put the tensor `x` on a grid, as the tensor `y`.

    Args:
        x: the tensor of floats.
        y: the tensor that the node gives.
        scale: one number, or as many axes as `x`, to multiply it.
        codes: the codes that there are.
        label: what the names of the nodes begin with.
        used: names that are taken; those of the nodes are added.
    """
    values = {
        "scale": np.asarray(scale, np.float32),
        "zeropt": np.zeros([1] * np.ndim(scale), np.float32),
        "bitwidth": np.array(codes.bits, np.float32),
    }
    # Each is a node of its own. The package qonnx gives shapes to what it folds, but not to
    # initializers, and hls4ml takes the values away from the node that it reads first.
    nodes = []
    for part, value in values.items():
        name = unused_name(f"{label}_{part}", used)
        tensor = numpy_helper.from_array(value, name)
        own = unused_name(f"{name}_constant", used)
        nodes.append(helper.make_node("Constant", [], [name], own, value=tensor))
    inputs = [x, *(node.output[0] for node in nodes)]
    quant = helper.make_node(
        "Quant", inputs, [y], unused_name(label, used), domain=QONNX_DOMAIN,
        signed=int(codes.signed), narrow=int(codes.narrow), rounding_mode="ROUND",
    )  # fmt: skip
    return [*nodes, quant]
