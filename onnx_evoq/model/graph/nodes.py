"""Walk a graph and the graphs inside it (the bodies of If, Loop and Scan), and read its nodes."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from google.protobuf.message import Message
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors import dense

QONNX_DOMAIN = "qonnx.custom_op.general"  # of Quant nodes
_QUANTIZED = {
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul", "GatherBlockQuantized", "MatMulBnb4", "MatMulInteger",
    "MatMulIntegerToFloat", "MatMulNBits", "NhwcMaxPool", "QAttention", "QEmbedLayerNormalization",
    "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearConv",
    "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMatMul", "QLinearMul",
    "QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QMoE",
    "QuantizeLinear",
}  # fmt: skip
FLOAT_TYPES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that `node` holds as attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def walk(graph: GraphProto) -> Iterator[GraphProto]:
    """`graph` and every graph inside it, outer before inner."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from walk(body)


def all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Every node of `graph` and of the graphs inside it."""
    for inner in walk(graph):
        yield from inner.node


def tensors_in(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor that `graph` or a graph inside it holds, as an initializer or in a node."""
    for inner in walk(graph):
        yield from inner.initializer
        for sparse in inner.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in all_nodes(graph):
        yield from tensors_of(node)


def holds_half(model: ModelProto) -> bool:
    """Whether a tensor of `model` is of a float type of 16 bits."""
    half = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    return any(tensor.data_type in half for tensor in tensors_in(model.graph))


def tensors_of(node: NodeProto) -> Iterator[TensorProto]:
    """Every tensor that an attribute of `node` holds."""
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("sparse_tensor"):
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def texts_in(message: Message) -> Iterator[str | bytes]:
    """Every text of a message and of those inside it; bytes stand for what is not UTF-8."""
    for field, content in message.ListFields():
        if field.type == field.TYPE_STRING:
            yield from content if field.is_repeated else (content,)
        elif field.type == field.TYPE_MESSAGE:
            for inner in content if field.is_repeated else (content,):
                yield from texts_in(inner)


def reads(node: NodeProto) -> set[str]:
    """The names that `node` reads from its graph: its inputs, and those its bodies capture."""
    names = {name for name in node.input if name}
    for body in bodies(node):
        names |= captured(body)
    return names


def captured(body: GraphProto) -> set[str]:
    """The names that `body` reads from the graphs around it."""
    own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    outer: set[str] = set()
    for node in body.node:
        outer |= reads(node) - own
        own.update(node.output)
    return outer | ({value.name for value in body.output} - own)


def reader_counts(graph: GraphProto) -> Counter[str]:
    """How many node inputs, bodies of nodes and outputs of `graph` read each tensor, by name."""
    counts = Counter(name for node in graph.node for name in node.input)
    counts.update(name for node in graph.node for body in bodies(node) for name in captured(body))
    counts.update(value.name for value in graph.output)
    return counts


def needed_nodes(graph: GraphProto, names: Iterable[str] | None = None) -> list[NodeProto]:
    """The nodes of `graph` that some tensors depend on, in its order; by default its outputs."""
    needed = {value.name for value in graph.output} if names is None else set(names)
    nodes: list[NodeProto] = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            nodes.append(node)
            needed |= reads(node)
    return nodes[::-1]


def constants_of(graph: GraphProto) -> set[str]:
    """The names of all node outputs of `graph` that depend on none of its inputs."""
    varying = {value.name for value in graph.input}
    constants: set[str] = set()
    for node in graph.node:
        names = {name for name in node.output if name}
        if reads(node) & varying or is_random(node):
            varying |= names
        else:
            constants |= names
    return constants


def constant_tensors(graph: GraphProto) -> dict[str, TensorProto]:
    """The initializers of `graph` and the values of its Constant nodes, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        value = constant_of(node)
        if value is not None:
            tensors[node.output[0]] = value
    return tensors


def constant_of(node: NodeProto) -> TensorProto | None:
    """The tensor that a Constant node holds; None if it holds strings, or is another node."""
    if node.op_type != "Constant" or not is_standard(node):
        return None
    for entry in node.attribute:
        match entry.name:
            case "value":
                return entry.t
            case "sparse_value":
                return dense(entry.sparse_tensor)
            case "value_float" | "value_int" | "value_floats" | "value_ints":
                value = helper.get_attribute_value(entry)
                dtype = np.float32 if "float" in entry.name else np.int64
                return numpy_helper.from_array(np.array(value, dtype), "")
    return None


def names_in_use(graph: GraphProto) -> set[str]:
    """Every tensor and node name of `graph` and of the graphs inside it."""
    names: set[str] = set()
    for inner in walk(graph):
        names.update(value.name for value in (*inner.input, *inner.output, *inner.value_info))
        names.update(tensor.name for tensor in inner.initializer)
        for node in inner.node:
            names.update((node.name, *node.input, *node.output))
    return names


def drop_added_shapes(changed: ModelProto, original: ModelProto) -> None:
    """Drop the shapes of tensors that a tool wrote into a copy of a model, in place.

    They take room, and where they name a free batch, some runtimes cannot be given a batch.
    """
    stated = {value.name for value in original.graph.value_info}
    for value in [value for value in changed.graph.value_info if value.name not in stated]:
        changed.graph.value_info.remove(value)


def unused_name(wanted: str, used: set[str]) -> str:
    """`wanted`, with a number after it if that is used; the result is added to `used`."""
    name, number = wanted, 1
    while name in used:
        name, number = f"{wanted}_{number}", number + 1
    used.add(name)
    return name


def replace_nodes(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Give a graph other nodes, in place; they may be its own."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def drop_unread(graph: GraphProto) -> None:
    """Remove the initializers of `graph` that nothing reads."""
    read = {name for node in graph.node for name in reads(node)}
    read |= {output.name for output in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def attribute(node: NodeProto, name: str, default: float) -> float:
    """The value of a numeric attribute, or `default` where the node does not state it.

    Raises:
        ModelError: the attribute is no number, which no checker finds outside ONNX's own operators.
    """
    for candidate in node.attribute:
        if candidate.name == name:
            value = helper.get_attribute_value(candidate)
            if not isinstance(value, int | float):
                raise ModelError(
                    f"{node_label(node)}: its attribute {name!r} is no number: export it again."
                )
            return float(value)
    return default


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operator set, 0 where the model imports none."""
    return next((entry.version for entry in model.opset_import if _is_own(entry.domain)), 0)


def is_quantized(node: NodeProto) -> bool:
    """Whether `node` makes codes, reads them, or makes floats of them."""
    known = is_standard(node) or node.domain == "com.microsoft"
    return known and node.op_type in _QUANTIZED


def quantized_operators(model: ModelProto) -> list[str]:
    """The operators of the nodes that `is_quantized` tells of, each once, in the graph's order."""
    return list(dict.fromkeys(n.op_type for n in all_nodes(model.graph) if is_quantized(n)))


def is_random(node: NodeProto) -> bool:
    """Whether `node` draws random numbers; Dropout does where it trains."""
    return node.op_type.startswith(("Random", "Multinomial", "Bernoulli"))


def is_standard(node: NodeProto) -> bool:
    """Whether `node` belongs to ONNX's own operator set."""
    return _is_own(node.domain)


def node_label(node: NodeProto) -> str:
    """The name of a node in messages: its own, or its operator and first output."""
    return node.name or f"{node.op_type}({node.output[0] if node.output else ''})"


def _is_own(domain: str) -> bool:
    return domain in ("", "ai.onnx")
