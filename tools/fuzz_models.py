"""The models that fuzz.py damages: a tiny one of each kind that users bring."""

from collections.abc import Callable, Sequence

import numpy as np
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
MICROSOFT = "com.microsoft"


def node(op: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    """A node whose inputs and outputs are separated by spaces; "-" leaves one out."""
    names = [[name.replace("-", "") for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, **attributes)


def value(name: str, *shape: int | str, kind: int = FLOAT) -> ValueInfoProto:
    """An input or an output."""
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(name: str, *shape: int, seed: int = 0) -> TensorProto:
    """An initializer of normal numbers."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def whole(name: str, *numbers: int) -> TensorProto:
    """An initializer of whole numbers; a single one has no axis."""
    return numpy_helper.from_array(np.array(numbers if len(numbers) > 1 else numbers[0]), name)


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    tensors: Sequence[TensorProto],
    opset: int = 17,
    functions: Sequence[FunctionProto] = (),
    **domains: int,
) -> ModelProto:
    """A model; `domains` are further operator sets, with "_" for "."."""
    graph = helper.make_graph(nodes, "fuzzed", inputs, outputs, tensors)
    sets = {"": opset, **{name.replace("_", "."): version for name, version in domains.items()}}
    imports = [helper.make_opsetid(name, version) for name, version in sets.items()]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=8 if opset < 21 else 10, functions=list(functions)
    )


def convolutions() -> ModelProto:
    """Conv, BatchNormalization, Relu, a depthwise Conv, pooling and Gemm."""
    norm = [tensor(name, 4, seed=k) for k, name in enumerate(("s", "o", "m"))]
    variance = numpy_helper.from_array(np.ones(4, np.float32), "v")
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", "c s o m v", "n"),
        node("Relu", "n", "r"),
        node("Conv", "r d", "e", group=4, strides=[2, 2]),
        node("GlobalAveragePool", "e", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f g h", "y", transB=1),
    ]
    weights = [tensor("w", 4, 3, 3, 3), tensor("b", 4), tensor("d", 4, 1, 3, 3), tensor("g", 5, 4)]
    return model(
        nodes, [value("x", "n", 3, 8, 8)], [value("y", "n", 5)],
        [*weights, tensor("h", 5), *norm, variance],
    )  # fmt: skip


def products() -> ModelProto:
    """MatMul, Add, Clip, a residual branch, and two outputs."""
    nodes = [
        node("MatMul", "x a", "m"), node("Add", "m b", "p"), node("Clip", "p low high", "c"),
        node("MatMul", "c d", "e"), node("Add", "e x", "y"), node("Softmax", "y", "z", axis=-1),
    ]  # fmt: skip
    limits = [tensor("low"), tensor("high", seed=3)]
    return model(
        nodes, [value("x", "n", 6)], [value("y", "n", 6), value("z", "n", 6)],
        [tensor("a", 6, 8), tensor("b", 8), tensor("d", 8, 6), *limits],
    )  # fmt: skip


def recurrent() -> ModelProto:
    """A table that tokens look up, LSTM with left out outputs, and MatMul."""
    nodes = [
        node("Gather", "t x", "e"), node("Transpose", "e", "s", perm=[1, 0, 2]),
        node("LSTM", "s w r", "- h", hidden_size=4), node("Squeeze", "h zero", "q"),
        node("MatMul", "q l", "y"),
    ]  # fmt: skip
    weights = [tensor("t", 9, 3), tensor("w", 1, 16, 3), tensor("r", 1, 16, 4), tensor("l", 4, 2)]
    zero = numpy_helper.from_array(np.array([0]), "zero")
    return model(nodes, [value("x", "n", 5, kind=INT64)], [value("y", "n", 2)], [*weights, zero])


def branches() -> ModelProto:
    """An If and a Loop whose bodies hold weights."""

    def branch(name: str, seed: int) -> GraphProto:
        own = tensor(f"w{seed}", 4, 4, seed=seed)
        product = node("MatMul", f"x w{seed}", f"o{seed}")
        return helper.make_graph([product], name, [], [value(f"o{seed}", "n", 4)], [own])

    state = [value("i", kind=INT64), value("go", kind=TensorProto.BOOL), value("s", "n", 4)]
    step = helper.make_graph(
        [node("MatMul", "s k", "t"), node("Identity", "go", "on")], "step", state,
        [value("on", kind=TensorProto.BOOL), value("t", "n", 4)], [tensor("k", 4, 4, seed=5)],
    )  # fmt: skip
    nodes = [
        node("ReduceSum", "x", "u", keepdims=0), node("Greater", "u zero", "c"),
        node("If", "c", "f", then_branch=branch("then", 1), else_branch=branch("else", 2)),
        node("Loop", "trips - f", "y", body=step),
    ]  # fmt: skip
    zero = numpy_helper.from_array(np.float32(0), "zero")
    return model(nodes, [value("x", "n", 4)], [value("y", "n", 4)], [zero, whole("trips", 2)])


def functions() -> ModelProto:
    """A function of the model's own."""
    body = [node("MatMul", "a b", "m"), node("Relu", "m", "o")]
    own = helper.make_function(
        "own", "dense", ["a", "b"], ["o"], body, [helper.make_opsetid("", 17)]
    )
    nodes = [node("dense", "x w", "h", domain="own"), node("dense", "h v", "y", domain="own")]
    return model(
        nodes, [value("x", "n", 4)], [value("y", "n", 3)], [tensor("w", 4, 5), tensor("v", 5, 3)],
        functions=[own], own=1,
    )  # fmt: skip


def selection() -> ModelProto:
    """Boxes and scores that NonMaxSuppression selects from."""
    nodes = [
        node("MatMul", "x w", "a"), node("Reshape", "a s", "b"), node("MatMul", "x v", "d"),
        node("Reshape", "d t", "c"), node("NonMaxSuppression", "b c most", "y"),
    ]  # fmt: skip
    shapes = [whole("s", 1, 6, 4), whole("t", 1, 1, 6)]
    most = numpy_helper.from_array(np.array([3]), "most")
    return model(
        nodes, [value("x", 1, 8)], [value("y", "k", 3, kind=INT64)],
        [tensor("w", 8, 24), tensor("v", 8, 6), *shapes, most],
    )  # fmt: skip


def constants() -> ModelProto:
    """Weights behind Cast, Transpose, Slice and Concat, and one that is quantized already."""
    half = numpy_helper.from_array(np.ones((4, 6), np.float16), "half")
    codes = numpy_helper.from_array(np.arange(24, dtype=np.int8).reshape(6, 4), "codes")
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    nodes = [
        node("Cast", "half", "w", to=FLOAT), node("MatMul", "x w", "a"),
        node("DequantizeLinear", "codes scale", "q"), node("MatMul", "a q", "b"),
        node("Slice", "v from to", "first"), node("Concat", "first v", "both", axis=1),
        node("Transpose", "both", "t", perm=[1, 0]), node("Gemm", "b t", "y", transB=1),
    ]  # fmt: skip
    bounds = [
        numpy_helper.from_array(np.array(numbers), name)
        for name, numbers in (("from", [0, 0]), ("to", [4, 2]))
    ]
    return model(
        nodes, [value("x", "n", 4)], [value("y", "n", 6)],
        [half, codes, scale, tensor("v", 4, 4), *bounds],
    )  # fmt: skip


def fused() -> ModelProto:
    """Operators of ONNX Runtime's own."""
    nodes = [
        node("FusedMatMul", "x w", "a", domain=MICROSOFT, transB=1),
        node("Gelu", "a", "g", domain=MICROSOFT), node("MatMul", "g v", "y"),
    ]  # fmt: skip
    return model(
        nodes, [value("x", "n", 4)], [value("y", "n", 3)], [tensor("w", 6, 4), tensor("v", 6, 3)],
        com_microsoft=1,
    )  # fmt: skip


def texts() -> ModelProto:
    """Words that a table of the ML domain turns into numbers."""
    nodes = [
        node(
            "LabelEncoder", "x", "i", domain="ai.onnx.ml", keys_strings=["a", "b"],
            values_int64s=[0, 1], default_int64=0,
        ),
        node("Gather", "t i", "e"), node("MatMul", "e w", "y"),
    ]  # fmt: skip
    return model(
        nodes, [value("x", "n", kind=TensorProto.STRING)], [value("y", "n", 2)],
        [tensor("t", 2, 4), tensor("w", 4, 2)], ai_onnx_ml=3,
    )  # fmt: skip


MODELS: tuple[Callable[[], ModelProto], ...] = (
    convolutions, products, recurrent, branches, functions, selection, constants, fused, texts,
)  # fmt: skip
