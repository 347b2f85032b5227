"""Nodes whose integer form would compute something else stay float, and the outputs show it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, run, task_of
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnx_evoq.activations import Activations, integer_model, quantize_activations
from onnx_evoq.model import Model, load, operators
from onnx_evoq.setup import Task, nearest_of

X = random(64, 6)
IMAGES = 4 * random(32, 2, 4, 4)


def net(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, np.ndarray],
    x: np.ndarray = X,
    y: Sequence[Any] | None = None,
) -> ModelProto:
    return model_of(nodes, {"x": ["n", *x.shape[1:]]}, {"y": y}, weights)


def quantized(
    model: ModelProto, x: np.ndarray = X, **options: Any
) -> tuple[Task, Activations, Model]:
    """The task at 8 bits, its activations, and the integer model with the nearest codes."""
    task = task_of(load(model), x, x, bits=8, **options)
    activations = quantize_activations(task, 8)
    rounded = nearest_of(task.weights, task.bits, task.granularity, task.scale)
    return task, activations, integer_model(activations, activations.network, rounded)


def error(model: ModelProto, x: np.ndarray = X, **options: Any) -> float:
    """The root of the relative squared error of the integer model."""
    task, _, emitted = quantized(model, x, **options)
    floats, found = (run(each, {"x": x})["y"] for each in (task.model, emitted))
    return float(np.sqrt(np.square(found - floats).mean() / np.square(floats).mean()))


DENSE = {"w": random(6, 5, seed=1), "b": random(5, seed=2)}
CONV = {"w": random(3, 2, 1, 1, seed=1), "b": random(3, seed=2)}
GEMM = node("Gemm", ["x", "w", "b"], ["a"])
CONVOLUTION = node("Conv", ["x", "w", "b"], ["a"])


def limits(low: float, high: float) -> dict[str, np.ndarray]:
    return {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}


@pytest.mark.parametrize("last", ["Relu", "Clip"])
def test_an_activation_at_the_end_is_kept(last: str) -> None:
    inputs = ["a", "low", "high"] if last == "Clip" else ["a"]
    model = net([GEMM, node(last, inputs, ["y"])], {**DENSE, **limits(0, 0.5)})
    _, _, emitted = quantized(model)
    y = run(emitted, {"x": X})["y"]
    assert y.min() == 0
    assert error(model) < 0.05


@pytest.mark.parametrize("ends", [(-1, 1), (-1, 6), (0.5, 6), (0, 6)])
def test_the_limits_of_a_clip_hold(ends: tuple[float, float]) -> None:
    nodes = [CONVOLUTION, node("Clip", ["a", "low", "high"], ["y"])]
    model = net(nodes, {**CONV, **limits(*ends)}, IMAGES)
    _, _, emitted = quantized(model, IMAGES)
    y = run(emitted, {"x": IMAGES})["y"]
    assert (y.min(), y.max()) == ends
    assert error(model, IMAGES) < 0.05


@pytest.mark.parametrize(
    "behind",
    [
        node("MaxPool", ["c"], ["y"], kernel_shape=[2, 2]),
        node("Reshape", ["c", "shape"], ["y"]),
    ],
    ids=["MaxPool", "Reshape"],
)
def test_a_clip_whose_scale_is_shared_keeps_its_limit(behind: NodeProto) -> None:
    nodes = [CONVOLUTION, node("Clip", ["a", "low", "high"], ["c"]), behind]
    weights = {**CONV, **limits(0, 6), "shape": np.array([0, -1])}
    _, _, emitted = quantized(net(nodes, weights, IMAGES), IMAGES)
    assert run(emitted, {"x": IMAGES})["y"].max() == 6


def test_a_clip_behind_a_reshape_is_kept() -> None:
    nodes = [
        GEMM, node("Reshape", ["a", "shape"], ["c"]), node("Clip", ["c", "low", "high"], ["y"]),
    ]  # fmt: skip
    model = net(nodes, {**DENSE, **limits(0, 1), "shape": np.array([0, 5, 1])})
    _, _, emitted = quantized(model)
    y = run(emitted, {"x": X})["y"]
    assert (y.min(), y.max()) == (0, 1)


def test_what_the_body_of_an_if_reads_is_kept() -> None:
    def branch(name: str) -> Any:
        out = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
        return helper.make_graph([node("Identity", [name], ["z"])], "body", [], [out])

    nodes = [
        GEMM,
        node("Relu", ["a"], ["r"]),
        node("If", ["yes"], ["i"], then_branch=branch("a"), else_branch=branch("r")),
        node("Gemm", ["r", "w2"], ["c"]),
        node("Add", ["i", "c"], ["y"]),
    ]
    weights = {**DENSE, "yes": np.array(True), "w2": random(5, 5, seed=4)}
    assert error(net(nodes, weights)) < 0.05


@pytest.mark.parametrize("beta", [0.25, 1.0])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 5)])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_gemm_adds_what_it_did(beta: float, shape: tuple[int, ...], granularity: str) -> None:
    bias = 8 * random(5, seed=2)[: int(np.prod(shape))].reshape(shape)
    model = net(
        [node("Gemm", ["x", "w", "b"], ["y"], beta=beta)], {"w": DENSE["w"], "b": bias}, y=["n", 5]
    )
    assert error(model, granularity=granularity) < 0.05


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_transposed_convolution_with_groups_works(granularity: str) -> None:
    weights = {"w": random(2, 3, 2, 2, seed=1), "b": random(6, seed=2), "v": random(4, 6, 1, 1)}
    nodes = [
        node("ConvTranspose", ["x", "w", "b"], ["a"], group=2), node("Conv", ["a", "v"], ["y"]),
    ]  # fmt: skip
    assert error(net(nodes, weights, IMAGES), IMAGES, granularity=granularity) < 0.05


def test_a_channel_of_hardly_any_weight_keeps_its_bias() -> None:
    weight = DENSE["w"].copy()
    weight[:, 2] = 1e-8
    model = net([node("Gemm", ["x", "w", "b"], ["y"])], {"w": weight, "b": 1 + DENSE["b"]})
    assert error(model, granularity="channel") < 0.05
    _, floats = operators(quantized(model, granularity="channel")[2])
    assert floats == {}


def test_a_weight_behind_a_transpose_is_not_rounded_twice() -> None:
    nodes = [
        node("Transpose", ["wt"], ["w"]),
        node("Gemm", ["x", "w", "b"], ["a"]),
        node("Gemm", ["a", "v"], ["y"]),
    ]
    model = net(nodes, {"wt": DENSE["w"].T.copy(), "b": DENSE["b"], "v": random(5, 4, seed=5)})
    _, activations, _ = quantized(model)
    assert "w" not in {tensor.name for tensor in activations.tensors}
    assert error(model) < 0.05


def test_names_like_those_of_scales_are_no_matter() -> None:
    nodes = [node("Mul", ["x", "x_scale"], ["m"]), node("Gemm", ["m", "w", "w_scale"], ["y"])]
    weights = {"x_scale": np.array(0.5, np.float32), "w": DENSE["w"], "w_scale": DENSE["b"]}
    assert error(net(nodes, weights)) < 0.05


def test_what_scales_the_products_of_attention_stays_float() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Mul", ["a", "half"], ["b"], name="scaled"),
        node("Softmax", ["b"], ["c"], axis=-1),
        node("MatMul", ["c", "v"], ["y"]),
    ]
    weights = {"w": DENSE["w"], "v": random(5, 4, seed=3), "half": np.array(0.5, np.float32)}
    _, activations, emitted = quantized(net(nodes, weights))
    assert "scaled" in activations.float_nodes
    assert {each.name for each in activations.tensors} == {"x", "c"}
    assert operators(emitted) == ({"MatMul": 2}, {"Mul": 1, "Softmax": 1})


def test_a_layer_norm_of_single_nodes_stays_float() -> None:
    nodes = [
        GEMM,
        node("ReduceMean", ["a"], ["mean"], axes=[-1]),
        node("Sub", ["a", "mean"], ["d"]),
        node("Mul", ["d", "d"], ["square"]),
        node("ReduceMean", ["square"], ["variance"], axes=[-1]),
        node("Sqrt", ["variance"], ["deviation"]),
        node("Div", ["d", "deviation"], ["e"]),
        node("Mul", ["e", "gain"], ["f"]),
        node("Gemm", ["f", "v"], ["y"]),
    ]
    weights = {**DENSE, "v": random(5, 4, seed=3), "gain": 1 + random(5, seed=4) ** 2}
    _, activations, _ = quantized(net(nodes, weights))
    assert {each.name for each in activations.tensors} == {"x", "a", "f"}
    assert error(net(nodes, weights)) < 0.05


def test_what_a_kept_convolution_gives_may_be_added_as_integers() -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"]),
        node("Conv", ["x", "v"], ["c"], name="kept"),
        node("Add", ["a", "c"], ["y"]),
    ]
    weights = {**CONV, "v": random(3, 2, 1, 1, seed=5)}
    _, activations, emitted = quantized(net(nodes, weights, IMAGES), IMAGES, keep=["v"])
    assert activations.float_nodes == ("kept",)
    assert operators(emitted)[0]["Add"] == 1


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_what_reads_a_constant_stays_float(kind: str) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"]),
        node(kind, ["a", "c"], ["d"], name="with_constant"),
        node("Conv", ["d", "v"], ["y"]),
    ]
    constant = np.array([100.0, 1.0, 0.01], np.float32).reshape(3, 1, 1)
    weights = {**CONV, "v": random(2, 3, 1, 1, seed=5), "c": constant}
    _, activations, _ = quantized(net(nodes, weights, IMAGES), IMAGES)
    assert activations.float_nodes == ("with_constant",)


def test_a_computed_shape_makes_no_float_operator() -> None:
    nodes = [
        CONVOLUTION,
        node("Shape", ["a"], ["shape"]),
        node("MaxPool", ["a"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", ["half", "", "", "shape"], ["c"]),
        node("Add", ["a", "c"], ["y"]),
    ]
    _, activations, emitted = quantized(net(nodes, CONV, IMAGES), IMAGES)
    assert activations.float_nodes == ()
    assert operators(emitted)[0]["Add"] == 1
