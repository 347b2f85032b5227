"""The ways in which fuzz.py damages models, data and options, all drawn from one generator."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from fuzz_models import MODELS
from google.protobuf.message import Message
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

Rng = np.random.Generator
Way = Callable[[ModelProto, Rng], None]

NUMBERS = (0, -1, 1, 2, 7, 64, 2**31 - 1, 2**31, 2**40, -(2**63), 2**63 - 1)
NAMES = ("", " ", "x", "y", "w", "a\nb", "a\0b", "\x1b[31mred", "n" * 5000, "ä€", "../../m", "'\"")
CHOICES = (
    [], ["--granularity", "channel"], ["--activations", "8"], ["--strategy", "coevolution"],
    ["--init", "nearest"], ["--format", "float"], ["--max-drop", "1"], ["--format", "qonnx"],
    ["--keep", "w*"], ["--scale", "float"], ["--target", "tensorrt"], ["--format", "c"],
)  # fmt: skip
FLOATS = (0.0, -1.0, np.nan, np.inf, -np.inf, 1e38, 1e-45, 0.1)


def pick(rng: Rng, values: object) -> object:
    """One of some values."""
    listed = list(values)  # type: ignore[call-overload]
    return listed[int(rng.integers(len(listed)))] if listed else None


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and those inside it."""
    yield graph
    for node in graph.node:
        for entry in node.attribute:
            if entry.HasField("g"):
                yield from graphs(entry.g)


def nodes(model: ModelProto) -> list[NodeProto]:
    """All nodes, those of functions as well; at least one."""
    inner = [node for graph in graphs(model.graph) for node in graph.node]
    found = inner + [node for function in model.functions for node in function.node]
    return found or [NodeProto()]  # a node of no graph, if all were removed


def tensors(model: ModelProto) -> list[TensorProto]:
    """All initializers, and the tensors of nodes."""
    held = [tensor for graph in graphs(model.graph) for tensor in graph.initializer]
    return held + [a.t for node in nodes(model) for a in node.attribute if a.HasField("t")]


def messages(message: Message) -> Iterator[Message]:
    """A message and all inside it."""
    yield message
    for field, content in message.ListFields():
        if field.message_type is not None:
            for inner in content if field.is_repeated else [content]:
                yield from messages(inner)


def any_field(model: ModelProto, rng: Rng) -> None:
    """Change, repeat or clear a field of any message."""
    message = pick(rng, messages(model))
    assert isinstance(message, Message)
    field, content = pick(rng, message.ListFields()) or (None, None)
    if field is None:
        return
    way = rng.integers(3)
    if way == 0:
        message.ClearField(field.name)
    elif field.is_repeated:
        repeated = getattr(message, field.name)
        if way == 1:
            repeated.extend([repeated[int(rng.integers(len(repeated)))]])
        else:
            del repeated[int(rng.integers(len(repeated)))]
    elif isinstance(content, str):
        setattr(message, field.name, pick(rng, NAMES))
    elif isinstance(content, bytes):
        setattr(message, field.name, content[: int(rng.integers(len(content) + 1))])
    elif isinstance(content, float):
        setattr(message, field.name, pick(rng, FLOATS))
    elif isinstance(content, int):
        number = pick(rng, NUMBERS)
        try:
            setattr(message, field.name, number)
        except ValueError:  # the field is narrower
            setattr(message, field.name, 1)


def a_name(model: ModelProto, rng: Rng) -> None:
    """Rename an input or an output of a node."""
    node = pick(rng, nodes(model))
    names = node.input if rng.integers(2) else node.output
    if names:
        known = [name for each in nodes(model) for name in (*each.input, *each.output)]
        names[int(rng.integers(len(names)))] = pick(rng, (*NAMES, *known))


def an_attribute(model: ModelProto, rng: Rng) -> None:
    """Give a node another value for an attribute, or an attribute that it has not."""
    node = pick(rng, nodes(model))
    names = ("axis", "group", "pads", "strides", "dilations", "kernel_shape", "perm", "transB",
             "hidden_size", "alpha", "to", "axes", "direction", "auto_pad", "unknown")  # fmt: skip
    name = pick(rng, [*(a.name for a in node.attribute), *names])
    value = pick(rng, (*NUMBERS, *FLOATS, *NAMES, [0], [-1, 2], [2**40], [1] * 200))
    for entry in [entry for entry in node.attribute if entry.name == name]:
        node.attribute.remove(entry)
    node.attribute.append(helper.make_attribute(name, value))
    if not rng.integers(8):
        node.attribute[-1].ref_attr_name = "outer"


def an_operator(model: ModelProto, rng: Rng) -> None:
    """Give a node another operator or domain."""
    node = pick(rng, nodes(model))
    known = (
        "Conv", "Gemm", "MatMul", "LSTM", "Gather", "Reshape", "If", "Loop", "Einsum", "Resize",
        "NonZero", "Unique", "SequenceConstruct", "Dropout", "RandomNormalLike", "Nope",
    )  # fmt: skip
    if rng.integers(4):
        node.op_type = pick(rng, known)
    else:
        node.domain = pick(rng, ("", "ai.onnx", "com.microsoft", "own", "nowhere"))


def a_node(model: ModelProto, rng: Rng) -> None:
    """Remove, repeat or move a node."""
    graph = pick(rng, graphs(model.graph))
    if not graph.node:
        return
    index = int(rng.integers(len(graph.node)))
    node = NodeProto()
    node.CopyFrom(graph.node[index])
    if rng.integers(3):
        del graph.node[index]
    if rng.integers(2):
        graph.node.append(node)


def a_tensor(model: ModelProto, rng: Rng) -> None:
    """Give a tensor other numbers, dims, bytes or another type, or say that they lie elsewhere."""
    tensor = pick(rng, tensors(model))
    if tensor is None:
        return
    way = rng.integers(5)
    if way == 0:
        tensor.dims[:] = [pick(rng, NUMBERS) for _ in range(rng.integers(7))]
    elif way == 1:
        tensor.data_type = pick(rng, (*range(-1, 28), 1000))
    elif way == 2:
        tensor.raw_data = rng.bytes(int(rng.integers(300)))
    elif way == 3 and tensor.data_type == TensorProto.FLOAT and len(tensor.raw_data) % 4 == 0:
        values = np.frombuffer(tensor.raw_data, np.float32).copy()
        if values.size:
            values[int(rng.integers(values.size))] = pick(rng, FLOATS)
            tensor.raw_data = values.tobytes()
    else:
        tensor.data_location = TensorProto.EXTERNAL
        keys = ("location", "offset", "length", "checksum")
        for key in keys[: int(rng.integers(1, 5))]:
            tensor.external_data.add(key=key, value=str(pick(rng, (*NAMES, *NUMBERS, "data.bin"))))


def a_value(model: ModelProto, rng: Rng) -> None:
    """Give an input or an output another type, shape or kind, or remove it."""
    values = model.graph.input if rng.integers(2) else model.graph.output
    value = pick(rng, values)
    if value is None:
        return
    way = rng.integers(5)
    if way == 0:
        value.type.tensor_type.elem_type = int(rng.integers(0, 28))
    elif way == 1:
        shape = [pick(rng, (*NUMBERS, "n", "m", None)) for _ in range(rng.integers(7))]
        kind = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shape))
    elif way == 2:
        value.ClearField("type")
    elif way == 3:
        value.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    else:
        values.remove(value)


def an_import(model: ModelProto, rng: Rng) -> None:
    """Give the model another operator set, version or domain."""
    if not model.opset_import or not rng.integers(4):
        model.ir_version = pick(rng, NUMBERS)
        return
    entry = pick(rng, model.opset_import)
    entry.version = pick(rng, (*NUMBERS, 6, 9, 11, 13, 15, 19, 21, 24, 26, 28))


def a_recursion(model: ModelProto, rng: Rng) -> None:
    """Let a function call itself, or nest If in If."""
    if model.functions:
        model.functions[0].node.append(
            helper.make_node("dense", ["m", "b"], ["again"], domain="own")
        )
        return
    condition = numpy_helper.from_array(np.array(True), "always")
    inner = helper.make_graph([helper.make_node("Identity", ["x0"], ["deep"])], "g", [], [
        helper.make_empty_tensor_value_info("deep")])  # fmt: skip
    for depth in range(int(rng.integers(1, 60))):
        node = helper.make_node(
            "If", ["always"], [f"deep{depth}"], then_branch=inner, else_branch=inner
        )
        output = helper.make_empty_tensor_value_info(f"deep{depth}")
        inner = helper.make_graph([node], "g", [], [output])
        if inner.ByteSize() > 2**20:
            break
    model.graph.initializer.append(condition)
    model.graph.node.extend(inner.node)


TYPED: tuple[Way, ...] = (
    any_field, a_name, an_attribute, an_operator, a_node, a_tensor, a_value, an_import, a_recursion,
)  # fmt: skip


def damaged_model(rng: Rng) -> tuple[str, bytes]:
    """What was done to which model, and its bytes."""
    make = MODELS[int(rng.integers(len(MODELS)))]
    model, done = make(), [make.__name__]
    for _ in range(int(rng.integers(3))):
        way = TYPED[int(rng.integers(len(TYPED)))]
        done.append(way.__name__)
        way(model, rng)
    content = model.SerializeToString()
    if not rng.integers(6):
        done.append("bytes")
        damaged = bytearray(content)
        for _ in range(int(rng.integers(1, 6))):
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        content = bytes(
            damaged[: int(rng.integers(1, len(damaged) + 1))] if rng.integers(2) else damaged
        )
    return " ".join(done), content


def samples(rng: Rng, folder: Path) -> list[str]:
    """Options that name samples, which fit a model or not, or none."""
    way = int(rng.integers(9))
    shape = pick(rng, [(12, 3, 8, 8), (12, 6), (12, 4), (12, 8), (12, 5), (12,), (1, 4), (0, 4)])
    values = rng.standard_normal(shape).astype(pick(rng, ("f4", "f8", "i8", "u1", "f2", "?")))
    file = folder / "data.npz"
    match way:
        case 0 | 1 | 2:
            return []
        case 3 | 4:
            np.savez(
                file, **{str(pick(rng, ("x", "input", "z"))): values, "y": np.arange(len(values))}
            )
        case 5:
            file = folder / "data.npy"
            np.save(file, values)
        case 6:
            np.savez(file, x=values)
            content = bytearray(file.read_bytes())
            content[int(rng.integers(len(content)))] ^= 255
            file.write_bytes(bytes(content[: int(rng.integers(1, len(content) + 1))]))
        case 7:
            file = folder / "images"
            file.mkdir()
            (file / "a.png").write_bytes(rng.bytes(40))
            (file / "b.txt").write_text("no image")
        case _:
            np.savez(file, x=np.array(["a", "b"] * 6))
    return ["--data", str(file)]


def options(rng: Rng, command: str, folder: Path) -> list[str]:
    """Options of a command, valid or not."""
    words = ["--seed", str(rng.integers(10))]
    if command != "inspect":
        words += [*samples(rng, folder), "--samples", str(pick(rng, (1, 2, 9, 16)))]
    else:
        words = []
    if command in ("optimize", "sensitivity"):
        words += ["--bits", str(pick(rng, (2, 3, 4, 8, 8, 9, 0)))]
    if command == "optimize":
        words += pick(rng, CHOICES)
    if command in ("optimize", "search"):
        words += ["--time-budget", "1s"]
    if command == "search" and rng.integers(2):
        words += ["--budget", str(pick(rng, ("1B", "100B", "1kB", "1MB"))), "--tune-budget", "1s"]
    if rng.integers(2):
        words += ["--json"]
    if not rng.integers(10):
        policy = folder / "policy.json"
        policy.write_text(
            json.dumps(pick(rng, ({}, [], {"bits": {"w": 4}}, {"layers": [{"name": "w"}]})))
        )
        words += ["--policy", str(policy)]
    return words
