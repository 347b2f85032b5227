"""Whether weights have an effect on outputs."""

import numpy as np
import pytest
from graphs import Shape, mlp, model_of, node, random, scoring_set

from onnx_evoq import array_blocks
from onnx_evoq.engine import constant_outputs, unmoved_outputs
from onnx_evoq.engine.influence import _changed
from onnx_evoq.model import Model, find_weights, load
from onnx_evoq.setup import DEFAULT_RESOURCES

X = random(40, 4, seed=3)
MATMUL = node("MatMul", ["x", "w"], ["a"])


def unmoved(model: Model, x: np.ndarray = X) -> tuple[str, ...]:
    """The outputs that the weights do not move on these samples."""
    scoring = scoring_set(model, {"x": x}, 16)
    return unmoved_outputs(model, find_weights(model)[0], scoring, DEFAULT_RESOURCES)


def net(*nodes: object, constant: float = 0.0, outputs: dict[str, Shape] | None = None) -> Model:
    """x (n, 4) -> a = x w (n, 6) -> ... -> y."""
    weights = {"w": random(4, 6), "c": np.array(constant, np.float32), "axis": np.array([1])}
    shapes = {"y": None} if outputs is None else outputs
    return load(model_of([MATMUL, *nodes], {"x": ["n", 4]}, shapes, weights))  # type: ignore[list-item]


DEAD = {
    "a softmax over one row": net(
        node("Unsqueeze", ["a", "axis"], ["b"]), node("Softmax", ["b"], ["y"], axis=1)
    ),
    "a closed Relu": net(node("Sub", ["a", "c"], ["b"]), node("Relu", ["b"], ["y"]), constant=100),
    "a saturated Sigmoid": net(
        node("Add", ["a", "c"], ["b"]), node("Sigmoid", ["b"], ["y"]), constant=100
    ),
    "a Clip": net(node("Add", ["a", "c"], ["b"]), node("Clip", ["b"], ["y"]), constant=1e9),
}


@pytest.mark.parametrize("name", DEAD)
def test_outputs_that_no_weight_moves_are_found(name: str) -> None:
    model = DEAD[name]
    if name == "a Clip":
        model.graph.node[-1].input.extend(["", "c"])
    assert unmoved(model) == ("y",)


def test_dead_inputs_are_found() -> None:
    assert unmoved(net(node("Relu", ["a"], ["y"])), np.zeros_like(X)) == ("y",)


def test_a_model_at_work_has_none() -> None:
    assert unmoved(load(mlp())) == ()


def test_small_changes_of_large_outputs_count() -> None:
    small = node("Mul", ["a", "c"], ["b"])  # .01 a
    large = node("Reciprocal", ["c"], ["d"])  # 100
    assert unmoved(net(small, large, node("Add", ["b", "d"], ["y"]), constant=0.01)) == ()


def test_an_output_that_depends_on_no_weight_is_left_out() -> None:
    outputs: dict[str, Shape] = {"y": None, "z": None}
    assert (
        unmoved(net(node("Relu", ["x"], ["z"]), node("Relu", ["a"], ["y"]), outputs=outputs)) == ()
    )


def test_of_several_outputs_those_that_stay_are_named() -> None:
    model = net(
        node("Unsqueeze", ["a", "axis"], ["b"]),
        node("Softmax", ["b"], ["y"], axis=1),
        outputs={"a": None, "y": None},
    )
    assert unmoved(model) == ("y",)


def test_outputs_that_are_the_same_for_all_samples_are_found() -> None:
    model = load(mlp())
    assert constant_outputs(scoring_set(model, {"x": X}, 16)) == ()
    same = np.repeat(X[:1], 40, axis=0)
    assert constant_outputs(scoring_set(model, {"x": same}, 16)) == ("logits",)
    assert constant_outputs(scoring_set(model, {"x": X[:1]}, 1)) == ()


def test_all_blocks_of_a_weight_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_blocks, "_BLOCK", 48)
    (weight,) = find_weights(net(node("Relu", ["a"], ["y"])))[0]  # (4, 6), in blocks of two rows
    before = weight.values.copy()
    ((name, changed),) = _changed([weight])
    draws = np.random.default_rng(0).random((4, 6), np.float32)
    assert name == "w"
    np.testing.assert_array_equal(changed, before * draws)
    np.testing.assert_array_equal(weight.values, before)
