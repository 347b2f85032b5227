"""A quantized model as a C header: one table of its layers, and one of the tensors between them.

The header has what a program needs to compute each layer, and no program. What lies between the
layers (sums, pools, activations of a float model) is listed in a comment.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto

from onnx_evoq.array_types import Array, Codes, Float32Array
from onnx_evoq.errors import ModelError
from onnx_evoq.model.c_header.c_text import array, braces, identifier, number, quoted, remark
from onnx_evoq.model.c_header.coded_layers import CodedLayer, Window, coded_layer
from onnx_evoq.model.c_header.declarations import OPERATORS, TITLE, TYPES
from onnx_evoq.model.c_header.qdq_graph import CodeFormat, QdqGraph
from onnx_evoq.model.graph import all_nodes, node_label
from onnx_evoq.model.integer import PRODUCTS
from onnx_evoq.quantize import frac_bits_of

# What 64 bits can be shifted by. Any more make 0 of a sum of 32 bits, as the most does, too.
_LEAST_SHIFT, _MOST_SHIFT = -30, 62
_NO_WINDOW = Window((), (), (), ())


def c_header_of(model: ModelProto, name: str) -> str:
    """The text of a C header with the layers of a model.

    Args:
        model: a model in the QDQ format, as `load` returns it.
        name: the model's name in messages.

    Raises:
        ModelError: no layer of the model has codes.
    """
    graph = QdqGraph(model)
    found = {
        index: coded_layer(node, graph)
        for index, node in enumerate(graph.nodes)
        if node.op_type in PRODUCTS
    }
    layers = [layer for layer in found.values() if isinstance(layer, CodedLayer)]
    if not layers:
        raise ModelError(f"{name}: {_why_none(model, graph)}")
    reasons = {index: why for index, why in found.items() if isinstance(why, str)}
    others = _others(graph, layers, reasons)
    names = _tensor_names(graph, layers)
    axes = max(1, *(len(graph.dims(name)) for name in names))
    body = "\n".join(
        [
            f"#define EVOQ_LAYER_COUNT {len(layers)}\n"
            f"#define EVOQ_TENSOR_COUNT {len(names)}\n"
            f"#define EVOQ_AXES {axes}  /* of the tensor that has most */\n",
            TYPES,
            _table("evoq_tensor evoq_tensors", [_tensor(name, graph) for name in names]),
            *_layers(layers, names, graph.formats),
        ]
    )
    # Two headers in one file are an error of the compiler, and the same one twice is none.
    guard = f"EVOQ_LAYERS_{zlib.crc32(body.encode()):08X}_H"
    return f"{TITLE}\n{others}#ifndef {guard}\n#define {guard}\n\n{body}\n#endif /* {guard} */\n"


def _why_none(model: ModelProto, graph: QdqGraph) -> str:
    """Why a model has no layer for a header, by the first weight that has codes."""
    for node in all_nodes(model.graph):
        weights = [graph.constant_codes(name) for name in node.input]
        weight = next((each for each in weights if each is not None), None)
        if weight is None or any(graph.constant_codes(name) for name in node.output):
            continue
        why: CodedLayer | str = "a header holds Conv, ConvTranspose, Gemm and MatMul alone"
        if node not in graph.nodes:
            why = "it stands in the body of another node"
        elif node.op_type in PRODUCTS:
            why = coded_layer(node, graph)
        return (
            f"no layer can be in a C header, {node.op_type} {node_label(node)!r} with weight "
            f"{weight.name.removesuffix('_quantized')!r} because {why}: use the qdq format instead."
        )
    return (
        "no Conv, ConvTranspose, Gemm or MatMul has integer weights: give a model that was "
        "quantized in the qdq format."
    )


def _tensor_names(graph: QdqGraph, layers: Sequence[CodedLayer]) -> list[str]:
    """The tensors that have codes, and those that layers read or give."""
    around = (name for layer in layers for name in (layer.input, layer.output))
    return list(dict.fromkeys([*graph.formats, *around]))


def _others(graph: QdqGraph, layers: Sequence[CodedLayer], reasons: Mapping[int, str]) -> str:
    """A comment that lists the nodes that are not in the table; nothing if there are none."""
    in_table = {layer.weight for layer in layers}
    joined = [node for layer in layers for node in layer.joined]
    lines = []
    for index, node in enumerate(graph.nodes):
        converts = node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant")
        own = node.op_type in PRODUCTS and index not in reasons
        of_codes = graph.codes.intersection(node.input) or in_table.intersection(node.output)
        if converts or own or of_codes or node in joined:
            continue
        why = f"  ({reasons[index]})" if index in reasons else ""
        lines.append(remark(f"{_shown(node, graph)}{why}"))
    if not lines:
        return ""
    listed = "".join(f" *   {line}\n" for line in lines)
    return (
        "/*\n * These nodes are not in the table, nor are constants that only they read:\n *\n"
        f"{listed} */\n\n"
    )


def _shown(node: NodeProto, graph: QdqGraph) -> str:
    """A node as its operator, and the tensors that it reads and gives."""
    read = ", ".join(graph.name_read(name) for name in node.input if name)
    given = ", ".join(graph.name_given(name) for name in node.output if name)
    return f"{node.op_type}({read}) -> {given}"


def _layers(
    layers: Sequence[CodedLayer], names: Sequence[str], formats: Mapping[str, CodeFormat]
) -> list[str]:
    """The arrays of all layers, then their table."""
    used: set[str] = set()
    places = {name: f"&evoq_tensors[{index}]" for index, name in enumerate(names)}
    arrays, entries = [], []
    for layer in layers:
        own = identifier(layer.name, used)
        parts = {
            "codes": layer.codes,
            **_steps(layer.steps),
            "shift": _shift(layer, formats),
            "bias": layer.bias,
            "float_bias": layer.float_bias,
        }
        pointers = {}
        for part, values in parts.items():
            # No ending ends in another one, so that the names of two layers differ.
            ending = "bias_float" if part == "float_bias" else part
            pointers[part] = "NULL" if values is None else f"{own}_{ending}"
            if values is not None:
                arrays.append(array(pointers[part], values))
        window = layer.window or _NO_WINDOW
        dims = braces(layer.codes.shape)
        entries.append(
            f"{{{quoted(layer.name)}, {OPERATORS[layer.op_type]},\n"
            f"     {places[layer.input]}, {places[layer.output]},\n"
            f"     {pointers['codes']}, {_bits(layer)}, {layer.codes.ndim}, {dims},\n"
            f"     {layer.channels}, {layer.steps.size}, {pointers['frac_bits']},\n"
            f"     {pointers['scale']}, {pointers['shift']},\n"
            f"     {pointers['bias']}, {pointers['float_bias']},\n"
            f"     {layer.groups}, {int(layer.transposed)}, {braces(window.strides)}, "
            f"{braces(window.dilations)}, {braces(window.pads)}, {braces(window.output_padding)}}}"
        )
    return [*arrays, _table("evoq_layer evoq_layers", entries)]


def _table(name: str, entries: Sequence[str]) -> str:
    body = ",\n".join(f"    {entry}" for entry in entries)
    return f"static const {name}[{len(entries)}] = {{\n{body}\n}};\n"


def _tensor(name: str, graph: QdqGraph) -> str:
    """The entry of a tensor in their table."""
    dims = graph.dims(name)
    start = f"{{{quoted(name)}, {len(dims)}, {braces(dims)}, "
    found = graph.formats.get(name)
    if found is None:
        return f"{start}0, 0, EVOQ_NO_FRAC_BITS, {number(0.0)}, 0, 0, 0}}"
    frac_bits = "EVOQ_NO_FRAC_BITS" if found.frac_bits is None else found.frac_bits
    return (
        f"{start}{found.bits}, {int(found.signed)}, {frac_bits}, {number(found.scale)}, "
        f"{found.zero_point}, {found.lowest}, {found.highest}}}"
    )


def _steps(steps: Float32Array) -> dict[str, Array | None]:
    """The steps of a weight as frac_bits, or else as floats."""
    found = frac_bits_of(steps)
    if found is None:
        return {"frac_bits": None, "scale": steps}
    return {"frac_bits": found.astype(np.int8), "scale": None}


def _shift(layer: CodedLayer, formats: Mapping[str, CodeFormat]) -> Codes | None:
    """By how many bits each sum is shifted to be an output code; None if no shift does it."""
    own = frac_bits_of(layer.steps)
    read, given = formats.get(layer.input), formats.get(layer.output)
    if own is None or read is None or given is None or layer.float_bias is not None:
        return None
    if read.frac_bits is None or given.frac_bits is None:
        return None
    shift = np.minimum(own + read.frac_bits - given.frac_bits, _MOST_SHIFT)
    return shift.astype(np.int8) if shift.min() >= _LEAST_SHIFT else None


def _bits(layer: CodedLayer) -> int:
    """The fewest bits that hold all codes of a layer."""
    codes = layer.codes.astype(np.int64)
    return 1 + int(np.maximum(codes, -1 - codes).max()).bit_length()
