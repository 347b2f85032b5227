"""Find the layers whose weight has codes, with all that their arithmetic needs.

1. A layer is a Conv or ConvTranspose (with any groups, of one to three axes of space), a Gemm that
   does not transpose its input, or a MatMul with a matrix on its right.
2. Its codes are signed, of 8 bits or fewer, with the zero point 0. There is one step, or one for
   each output channel. A ConvTranspose with groups may share its steps between the groups.
3. Its bias is a constant: its third input, or for a MatMul what an Add right behind it adds. It
   counts in units of ``s_x s_w`` if it is stored so, or if all its values are whole numbers of
   them; else it is a float.
4. What a Gemm multiplies its product with (alpha) goes into its steps, and beta into its bias.
5. Padding that depends on the size of the input (SAME) is computed, if the size is known.
6. A Relu or a Clip right behind it, whose output alone is quantized, is part of it: the limits of
   the output's codes stand for it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from onnx_evoq.array_types import Array, Codes, Float32Array, Float64Array
from onnx_evoq.model.c_header.qdq_graph import ConstantCodes, QdqGraph, attributes_of
from onnx_evoq.model.graph import is_standard, node_label

_MOST_SPACE = 3  # axes
_SAME_UNIT = 1e-6  # how far the scale of a bias may be from s_x s_w, relative to it
# How far a float32 may be from the whole number of units that it stands for.
_ROUNDED = 2.0**-22  # relative to it
_MOST_ROUNDED = 2.0**-4  # in units; one of several channels that lie anywhere is further off
_MOST_UNITS = 2**30  # half of what 32 bits hold, so that there is room for the products


@dataclass(frozen=True)
class Window:
    """Where a Conv or a ConvTranspose reads; one entry for each axis of space.

    Attributes:
        strides: of the window.
        dilations: the distances of its taps.
        pads: in front of all axes, then behind them.
        output_padding: what a ConvTranspose adds to its output behind each axis.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    output_padding: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class CodedLayer:
    """A layer whose weight has codes.

    Attributes:
        name: of its node.
        op_type: Conv, ConvTranspose, Gemm or MatMul.
        input: the name of the tensor that it reads.
        output: likewise, of the one that it gives.
        weight: the name of the tensor that holds its dequantized weight.
        codes: in the layout of ONNX.
        steps: (n,) of the codes; output channel o has the one with the index ``o % n``.
        channels: the number of its output channels.
        bias: (channels,), in units of ``s_x s_w``; None if there is none.
        float_bias: (channels,), as values; None if there is none.
        groups: into which the channels are divided.
        transposed: whether the outputs of a Gemm lie along the first axis.
        window: None for Gemm and MatMul.
        joined: the nodes behind it that are parts of it: an Add of its bias, a Relu or a Clip.
    """

    name: str
    op_type: str
    input: str
    output: str
    weight: str
    codes: Codes
    steps: Float32Array
    channels: int
    bias: Array | None = None
    float_bias: Float32Array | None = None
    groups: int = 1
    transposed: bool = False
    window: Window | None = None
    joined: tuple[NodeProto, ...] = ()


def coded_layer(node: NodeProto, graph: QdqGraph) -> CodedLayer | str:
    """The layer of a node, or the reason why it is none.

    Args:
        node: a Conv, ConvTranspose, Gemm or MatMul.
        graph: the graph that it belongs to.
    """
    constant = graph.constant_codes(node.input[1])
    if constant is None or not is_standard(node):
        on_the_left = node.op_type == "MatMul" and graph.constant_codes(node.input[0]) is not None
        return "its weight is on the left" if on_the_left else "its weight has no codes"
    given = attributes_of(node)
    if not constant.codes.dtype.name.startswith("int") or constant.zero_point.any():
        return "the codes of its weight are no signed numbers, or have a zero point"
    if constant.codes.dtype.itemsize > 1:
        return "the codes of its weight have more than 8 bits"
    if given.get("transA"):
        return "its input is transposed"
    rank = constant.codes.ndim
    convolves = node.op_type in ("Conv", "ConvTranspose")
    if not (3 <= rank <= _MOST_SPACE + 2 if convolves else rank == 2):
        return f"its weight has {rank} axes, and not {'3 to 5' if convolves else '2'}"
    transposed = bool(given.get("transB"))
    axis = 0 if node.op_type == "Conv" or transposed else 1
    if constant.axis not in (None, axis):
        return "its steps do not lie along its output channels"
    window = None
    if convolves:
        window = _window(node, constant.codes.shape[2:], graph)
        if window is None:
            return "its padding depends on the size of its input or output"
    groups = int(given.get("group", 1))
    layer = CodedLayer(
        node_label(node), node.op_type, graph.name_read(node.input[0]),
        graph.name_given(node.output[0]), node.input[1], constant.codes.astype(np.int8),
        constant.steps * np.float32(given.get("alpha", 1)),
        constant.codes.shape[axis] * (groups if node.op_type == "ConvTranspose" else 1),
        groups=groups, transposed=transposed, window=window,
    )  # fmt: skip
    found = _with_bias(layer, node, graph, float(given.get("beta", 1)))
    if isinstance(found, str):
        return found
    limiting = graph.limiting((node, *found.joined)[-1].output[0])
    if limiting is None:
        return found
    output = graph.name_given(limiting.output[0])
    return replace(found, output=output, joined=(*found.joined, limiting))


def _with_bias(
    layer: CodedLayer, node: NodeProto, graph: QdqGraph, beta: float
) -> CodedLayer | str:
    """The layer with its bias, or the reason why it is none."""
    name = node.input[2] if len(node.input) > 2 else ""
    if node.op_type == "MatMul":
        adding = graph.only_reader(node.output[0])
        if adding is None or adding.op_type != "Add" or not is_standard(adding):
            return layer
        name = next((each for each in adding.input if each != node.output[0]), "")
        value = graph.value(name)
        if value is None or (value.size, *value.shape[-1:]) != (layer.channels,) * 2:
            return layer
        layer = replace(layer, output=graph.name_given(adding.output[0]), joined=(adding,))
    if not name:
        return layer
    codes, stored = graph.constant_codes(name), graph.value(name)
    if codes is not None:
        zero_point = np.asarray(codes.zero_point, np.float64)
        stored = (np.asarray(codes.codes, np.float64) - zero_point) * codes.steps
    if stored is None:
        return "its bias is computed"
    values = beta * np.asarray(stored, np.float64)
    one_each = values.size in (1, layer.channels) and values.shape[-1:] in ((), (values.size,))
    if not one_each or not np.isfinite(values).all():
        return "its bias is not one finite number for each channel"
    unit = _unit(layer, graph)
    if codes is not None and unit is not None and beta == 1 and _is_in(codes, unit):
        whole = np.broadcast_to(codes.codes.reshape(-1), layer.channels)
        return replace(layer, bias=whole.astype(np.int32))
    floats = np.broadcast_to(values.reshape(-1), layer.channels)
    in_units = None if unit is None else _in_units(floats, unit)
    if in_units is not None:
        return replace(layer, bias=in_units)
    return replace(layer, float_bias=floats.astype(np.float32))


def _unit(layer: CodedLayer, graph: QdqGraph) -> Float64Array | None:
    """``s_x s_w`` of each output channel; None if the input has no codes."""
    read = graph.formats.get(layer.input)
    if read is None:
        return None
    steps = np.resize(layer.steps.astype(np.float64), layer.channels)
    return steps * read.scale


def _is_in(bias: ConstantCodes, unit: Float64Array) -> bool:
    """Whether a bias counts in these units, with the zero point 0."""
    return not bias.zero_point.any() and bool(
        np.allclose(bias.steps, unit, rtol=_SAME_UNIT, atol=0)
    )


def _in_units(values: Float64Array, unit: Float64Array) -> NDArray[np.int32] | None:
    """Values as whole numbers of units; None if they are none, but for rounding to float32."""
    whole = np.rint(values / unit)
    size = np.abs(whole)
    near = np.abs(values / unit - whole) <= np.minimum(_ROUNDED * size, _MOST_ROUNDED)
    return whole.astype(np.int32) if (near & (size <= _MOST_UNITS)).all() else None


def _window(node: NodeProto, kernel: tuple[int, ...], graph: QdqGraph) -> Window | None:
    """The window of a Conv or a ConvTranspose; None if its padding is not known."""
    given = attributes_of(node)
    ones, zeros = (1,) * len(kernel), (0,) * len(kernel)

    def of(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(given.get(name, default))

    strides, dilations = of("strides", ones), of("dilations", ones)
    pads, output_padding = of("pads", zeros + zeros), of("output_padding", zeros)
    padding = given.get("auto_pad", b"NOTSET")
    if padding in (b"SAME_UPPER", b"SAME_LOWER"):
        sizes = graph.dims(node.input[0])[2:]
        if node.op_type == "ConvTranspose" or not sizes or not all(sizes):
            return None
        reach = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        needed = [
            max((-(-size // stride) - 1) * stride + r + 1 - size, 0)
            for size, stride, r in zip(sizes, strides, reach, strict=True)
        ]
        less, more = (tuple(n // 2 for n in needed), tuple(-(-n // 2) for n in needed))
        pads = less + more if padding == b"SAME_UPPER" else more + less
    elif "output_shape" in given:
        return None
    elif padding == b"VALID":
        pads = zeros + zeros
    return Window(strides, dilations, pads, output_padding)
