"""Models with some layers quantized already, from end to end."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from calls import optimize
from graphs import model_of, node, random, run
from onnx import ModelProto, NodeProto

from onnx_evoq import ModelError, SearchSpace, inspect, rank_sensitivity, search_bits

SMALL = SearchSpace(expansion=False)
X = random(40, 3, 6, 6, seed=7)


def rounded(name: str, scale: str) -> list[NodeProto]:
    """Nodes that round the activation of that name to 8 bits, "{name}_d"."""
    grid = [scale, "zero"]
    return [
        node("QuantizeLinear", [name, *grid], [f"{name}_q"]),
        node("DequantizeLinear", [f"{name}_q", *grid], [f"{name}_d"]),
    ]


def half_integer() -> ModelProto:
    """x -> Conv on integers, Relu -> Conv and Gemm on floats -> y (n, 4)."""
    nodes = [
        *rounded("x", "s1"),
        node("DequantizeLinear", ["first_quantized", "s2", "z2"], ["first"], axis=0),
        node("DequantizeLinear", ["b_quantized", "s3"], ["b"], axis=0),
        node("Conv", ["x_d", "first", "b"], ["a"], "on_codes", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["r"]),
        *rounded("r", "s4"),
        node("Conv", ["r_d", "second"], ["c"], "on_floats"),
        node("Relu", ["c"], ["d"]),
        node("GlobalAveragePool", ["d"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "third"], ["y"]),
    ]
    step = np.abs(random(6)) * 0.01 + 0.01
    codes = np.random.default_rng(0).integers(-60, 60, (6, 3, 3, 3))
    weights = {
        "s1": np.float32(0.03), "zero": np.uint8(128), "s2": step, "z2": np.zeros(6, np.int8),
        "s3": step * np.float32(0.03), "s4": np.float32(0.1),
        "first_quantized": codes.astype(np.int8), "b_quantized": np.arange(6, dtype=np.int32),
        "second": 0.2 * random(8, 6, 3, 3),
        "third": random(8, 4),
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 3, 6, 6]}, {"y": ["n", 4]}, weights, opset=13)


def as_users_run(model: ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": X})[0]


@pytest.fixture(scope="module")
def result() -> Any:
    return optimize(half_integer(), X, bits=4, strategy="none")


def test_layers_that_are_quantized_already_stay_to_the_byte(result: Any) -> None:
    before, after = half_integer().graph, result.model.graph
    kept = {tensor.name: tensor for tensor in after.initializer}
    for tensor in before.initializer:
        assert tensor.name in ("second", "third") or kept[tensor.name] == tensor
    nodes = list(after.node)
    assert all(each in nodes for each in before.node[:8])  # up to the Conv on floats
    assert [layer.name for layer in result.layers] == ["second", "third"]


def test_the_reference_is_what_a_user_gets(result: Any) -> None:
    expected, found = as_users_run(half_integer()), as_users_run(result.model)
    assert result.session_options == {}
    assert result.scores["reference"].search == 0
    error = np.square(expected - found).mean()
    assert error == pytest.approx(result.scores["evolved"].search, rel=0.5)
    assert result.scores["evolved"].search < 0.2 * result.scores["nearest"].search


def test_codes_are_quantized_anew_on_request() -> None:
    result = optimize(half_integer(), X, bits=4, strategy="none", requantize=True)
    assert [layer.name for layer in result.layers] == ["first", "second", "third"]
    expected, found = (run(model, {"x": X})["y"] for model in (half_integer(), result.model))
    assert np.abs(expected - found).max() < 0.1 * np.abs(expected).max()
    held = {tensor.name for tensor in result.model.graph.initializer}
    assert "b" in held
    assert not {"b_quantized", "s3"} & held


def test_a_search_and_a_ranking_take_them_too() -> None:
    rows = rank_sensitivity(half_integer(), X[:8], requantize=True).rows
    assert {row.name for row in rows} == {"first", "second", "third"}
    found = search_bits(half_integer(), X[:8], requantize=True, time_budget=0.1, space=SMALL)
    assert set(found.front[0].policy.bits) == {"first", "second", "third"}


def test_inspect_says_what_is_quantized_already() -> None:
    inspection = inspect(half_integer())
    assert [weight.name for weight in inspection.weights] == ["second", "third"]
    reasons = {skipped.name: skipped.reason for skipped in inspection.skipped}
    assert reasons["first_quantized"] == "already quantized (DequantizeLinear): stays as it is"
    assert inspect(half_integer(), requantize=True).weights[0].name == "first"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"activations": 8}, "option activations"),
        ({"format": "qonnx"}, "format qonnx"),
        ({"format": "c"}, "format c"),
    ],
)
def test_what_needs_floats_alone_is_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ModelError, match=f"{what} needs a model of floats alone.*leave the option"):
        optimize(half_integer(), X, bits=8, strategy="none", **options)


def test_codes_of_weights_alone_can_become_floats_for_it() -> None:
    nodes = [
        node("DequantizeLinear", ["w_quantized", "s"], ["w"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["a", "v"], ["y"]),
    ]
    codes = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    weights = {"w_quantized": codes, "s": np.float32(0.1), "v": random(4, 3)}
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)
    with pytest.raises(ModelError, match=r"quantized anew \(--requantize\), or leave the option"):
        optimize(model, random(9, 4), bits=8, strategy="none", format="qonnx")
    assert optimize(
        model, random(9, 4), bits=8, strategy="none", format="qonnx", requantize=True
    ).layers  # fmt: skip
    assert optimize(model, random(9, 4), bits=8, strategy="none", activations=8).activations
