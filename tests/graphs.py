"""Small models for the tests, built by hand; weights are drawn from a seeded generator."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.batch import make_batches
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.model import Network, Runnable, find_weights, input_specs
from onnx_evoq.model.graph.network import to_model
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session, predict
from onnx_evoq.setup import Resources, Task, nearest_of
from onnx_evoq.setup.scoring import ScoringSet

# An operator set that integers of all widths have. To convert a model to it takes 10 ms, as much as
# many a test: so the models that most tests use have it, and others have an older one.
NEW = 21

Shape = Sequence[int | str | None] | None

KINDS = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}

node = helper.make_node


def random(*shape: int, seed: int = 0, dtype: str = "float32") -> NDArray[np.floating]:
    """Normal numbers of that shape."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    weights: Mapping[str, NDArray[np.generic]],
    *,
    opset: int = 17,
    ir_version: int | None = None,
    dtype: str = "float32",
    dtypes: Mapping[str, str] | None = None,
) -> ModelProto:
    """A model; inputs and outputs are of `dtype` unless `dtypes` says otherwise."""

    def value(name: str, shape: Shape) -> object:
        kind = KINDS[(dtypes or {}).get(name, dtype)]
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        list(nodes),
        "test",
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    domains = sorted({each.domain for each in nodes} - {""})
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(each, 1) for each in domains)]
    usual = 10 if opset >= NEW else 8
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version or usual)


def run(model: Runnable, feed: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """The outputs of ONNX Runtime with the options that every score here is measured with."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(proto(model).SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(feed)), strict=True))


def proto(model: Runnable) -> ModelProto:
    """A model that holds all of its values."""
    return to_model(model) if isinstance(model, Network) else model


def rounded(model: ModelProto, bits: int, *, channel: bool = False) -> dict[str, QuantizedWeight]:
    """Every weight of a loaded model, rounded to the nearest."""
    weights, _ = find_weights(model)
    widths = dict.fromkeys((weight.name for weight in weights), bits)
    return nearest_of(weights, widths, "channel" if channel else "tensor", "pow2")


def types(model: ModelProto) -> dict[str, str]:
    """The type of each initializer."""
    return {t.name: TensorProto.DataType.Name(t.data_type) for t in model.graph.initializer}


def scoring_set(
    model: ModelProto,
    inputs: Mapping[str, NDArray[np.generic]],
    size: int,
    metric: str = "mse",
) -> ScoringSet:
    """Samples in batches of `size`, scored against the outputs of a loaded model."""
    batches = make_batches(inputs, input_specs(model), size)
    reference = list(predict(Session(model.SerializeToString()), batches))
    return ScoringSet(batches, Criterion(find_metric(metric), reference, None))


def task_of(
    model: ModelProto,
    search: NDArray[np.generic],
    heldout: NDArray[np.generic],
    *,
    bits: int | Mapping[str, int] = 4,
    keep: Sequence[str] = (),
    size: int = 8,
    metric: str = "mse",
    **options: Any,
) -> Task:
    """The task of quantizing a loaded model of one input, "x"; one step per tensor."""
    weights = [weight for weight in find_weights(model)[0] if weight.name not in keep]
    given = bits if isinstance(bits, Mapping) else {weight.name: bits for weight in weights}
    sets = [scoring_set(model, {"x": inputs}, size, metric) for inputs in (search, heldout)]
    usual: dict[str, Any] = {
        "granularity": "tensor", "scale": "pow2", "deadline": Deadline(None),
        "resources": Resources(workers=1),
    }  # fmt: skip
    return Task(
        model=model, weights=weights, bits=dict(given), search_set=sets[0], heldout_set=sets[1],
        **{**usual, **options},
    )  # fmt: skip


def mlp(*, opset: int = NEW, batch: int | str = "n") -> ModelProto:
    """x (n, 4) -> MatMul, Add, Relu -> Gemm -> logits (n, 3)."""
    nodes = [
        node("MatMul", ["x", "first"], ["a"], "layer1"),
        node("Add", ["a", "first_bias"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Gemm", ["c", "second", "second_bias"], ["logits"], "layer2", transB=1),
    ]
    weights = {
        "first": random(4, 6, seed=1),
        "first_bias": random(6, seed=2),
        "second": random(3, 6, seed=3),
        "second_bias": random(3, seed=4),
    }
    return model_of(nodes, {"x": [batch, 4]}, {"logits": [batch, 3]}, weights, opset=opset)


def conv_net(*, opset: int = NEW, dtype: str = "float32", batch: int | str = "n") -> ModelProto:
    """x (n, 3, 8, 8) -> Conv, BatchNormalization, Relu, residual Conv, pool, Gemm -> (n, 5)."""
    nodes = [
        node("Conv", ["x", "w1"], ["a"], "stem", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "scale", "offset", "mean", "var"], ["b"], "norm"),
        node("Relu", ["b"], ["c"]),
        node("Conv", ["c", "w2", "b2"], ["d"], "branch", pads=[1, 1, 1, 1]),
        node("Add", ["c", "d"], ["e"]),
        node("GlobalAveragePool", ["e"], ["f"]),
        node("Flatten", ["f"], ["g"]),
        node("Gemm", ["g", "w3", "b3"], ["logits"], "head"),
    ]
    weights = {
        "w1": 0.3 * random(6, 3, 3, 3, seed=1),
        "scale": 1 + 0.2 * random(6, seed=2),
        "offset": random(6, seed=3),
        "mean": random(6, seed=4),
        "var": 0.5 + random(6, seed=5) ** 2,
        "w2": 0.2 * random(6, 6, 3, 3, seed=6),
        "b2": random(6, seed=7),
        "w3": random(6, 5, seed=8),
        "b3": random(5, seed=9),
    }
    weights = {name: array.astype(dtype) for name, array in weights.items()}
    return model_of(
        nodes, {"x": [batch, 3, 8, 8]}, {"logits": [batch, 5]}, weights, opset=opset, dtype=dtype
    )


def split_net() -> ModelProto:
    """x (n, 8) -> Relu -> Split -> two MatMuls, added -> y (n, 3)."""
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Split", ["r"], ["a", "b"], axis=1),
        node("MatMul", ["a", "w1"], ["c"]),
        node("MatMul", ["b", "w2"], ["d"]),
        node("Add", ["c", "d"], ["y"]),
    ]
    weights = {"w1": random(4, 3), "w2": random(4, 3, seed=1)}
    return model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 3]}, weights, opset=13)


def fire() -> ModelProto:
    """x (n, 2, 6, 6) -> Conv, Relu -> two Convs side by side, Concat, PRelu -> Conv."""
    nodes = [
        node("Conv", ["x", "squeeze"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "one", "one_bias"], ["c"]),
        node("Conv", ["b", "three"], ["d"], pads=[1, 1, 1, 1]),
        node("Concat", ["c", "d"], ["e"], axis=1),
        node("PRelu", ["e", "slope"], ["f"]),
        node("Conv", ["f", "last"], ["y"]),
    ]
    weights = {
        "squeeze": random(9, 2, 1, 1, seed=1),
        "one": random(5, 9, 1, 1, seed=2),
        "one_bias": random(5, seed=3),
        "three": 0.3 * random(17, 9, 3, 3, seed=4),
        "slope": np.abs(random(22, 1, 1, seed=5)),
        "last": random(3, 22, 1, 1, seed=6),
    }
    return model_of(nodes, {"x": ["n", 2, 6, 6]}, {"y": None}, weights)


def flat() -> ModelProto:
    """x (n, 3, 2, 2) -> ConvTranspose, Flatten -> Gemm, MatMul without a bias -> y (n, 5)."""
    nodes = [
        node("ConvTranspose", ["x", "up"], ["a"], strides=[2, 2]),
        node("Flatten", ["a"], ["b"]),
        node("Gemm", ["b", "wide"], ["c"]),
        node("MatMul", ["c", "last"], ["y"]),
    ]
    weights = {
        "up": random(3, 10, 2, 2, seed=1),
        "wide": random(160, 9, seed=2),
        "last": random(9, 5, seed=3),
    }
    return model_of(nodes, {"x": ["n", 3, 2, 2]}, {"y": ["n", 5]}, weights)


def recurrent() -> ModelProto:
    """x (n, 5), rows of a table -> GRU -> MatMul: the table has no closed form."""
    nodes = [
        node("Gather", ["table", "x"], ["rows"]),
        node("Transpose", ["rows"], ["a"], perm=[1, 0, 2]),
        node("GRU", ["a", "w", "r"], ["", "b"], hidden_size=3),
        node("Squeeze", ["b", "zero"], ["c"]),
        node("MatMul", ["c", "last"], ["y"]),
    ]
    weights = {
        "table": random(7, 4, seed=1),
        "w": random(1, 9, 4, seed=2),
        "r": random(1, 9, 3, seed=3),
        "zero": np.array([0]),
        "last": random(3, 9, seed=4),
    }
    return model_of(nodes, {"x": ["n", 5]}, {"y": ["n", 9]}, weights, dtypes={"x": "int64"})


def interrupting(steps: int) -> Callable[..., Any]:
    """Progress that raises KeyboardInterrupt at the step with this number."""
    done: list[float] = []

    def step(amount: float, **where: Any) -> None:
        done.append(amount)
        if len(done) == steps:
            raise KeyboardInterrupt

    return lambda label, total: nullcontext(step)


def stepping_into(steps: list[Any], *names: str) -> Callable[..., Any]:
    """Progress that adds to a list the amount of each step, and what else is named of it."""

    def step(amount: float, **where: Any) -> None:
        steps.append((amount, *(where.get(name) for name in names)) if names else amount)

    return lambda label, total: nullcontext(step)


def table_read_twice() -> ModelProto:
    """x (n), indices into a table -> MatMul, MatMul, both of one weight."""
    nodes = [
        node("Gather", ["table", "x"], ["a"]),
        node("MatMul", ["a", "w"], ["b"]),
        node("MatMul", ["b", "w"], ["y"]),
    ]
    weights = {"table": random(9, 4), "w": random(4, 4)}
    return model_of(nodes, {"x": ["n"]}, {"y": ["n", 4]}, weights, dtypes={"x": "int64"})


def body(name: str, nodes: Sequence[NodeProto], *outputs: str) -> GraphProto:
    """A branch of an If, whose outputs are floats of any shape."""
    values = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
    return helper.make_graph(list(nodes), name, [], values)


def two_rates() -> ModelProto:
    """x (n, t) -> Relu -> If(rate == 16) -> MatMul of w16 (16, 8) or w8 (8, 8) -> MatMul -> y."""
    wide = body("wide", [node("MatMul", ["h", "w16"], ["a"])], "a")
    narrow = body("narrow", [node("MatMul", ["h", "w8"], ["b"])], "b")
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("Equal", ["rate", "sixteen"], ["c"]),
        node("If", ["c"], ["z"], then_branch=wide, else_branch=narrow),
        node("MatMul", ["z", "w"], ["y"]),
    ]
    weights = {
        "w16": random(16, 8), "w8": random(8, 8), "w": random(8, 4), "sixteen": np.array(16)
    }  # fmt: skip
    inputs = {"x": ["n", "t"], "rate": []}
    return model_of(nodes, inputs, {"y": ["n", 4]}, weights, dtypes={"rate": "int64"})


def looped(*, opset: int = 17) -> ModelProto:
    """x (n, 6) -> a Loop of three iterations of v = tanh(v w1 + b1) -> MatMul -> y (n, 4)."""
    turn = body(
        "turn",
        [
            node("MatMul", ["v", "w1"], ["m"]),
            node("Add", ["m", "b1"], ["s"]),
            node("Tanh", ["s"], ["next"]),
            node("Identity", ["on"], ["still"]),
        ],
        "still",
        "next",
    )
    for name, kind, shape in (("i", "int64", []), ("on", "bool", []), ("v", "float32", ["n", 6])):
        turn.input.append(helper.make_tensor_value_info(name, KINDS[kind], shape))
    turn.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    nodes = [
        node("Loop", ["three", "", "x"], ["z"], body=turn),
        node("MatMul", ["z", "w2"], ["y"]),
    ]
    weights = {"w1": random(6, 6), "b1": random(6), "w2": random(6, 4), "three": np.array(3)}
    return model_of(nodes, {"x": ["n", 6]}, {"y": ["n", 4]}, weights, opset=opset)
