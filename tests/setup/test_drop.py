"""How much of the float model's quality a quantized model may lose."""

from collections.abc import Callable

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, rounded, run

from onnx_evoq.data import Data
from onnx_evoq.errors import BudgetError
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import Quantized, load, with_codes
from onnx_evoq.setup import (
    check_drop,
    drop_measure,
    max_drop_check,
    model_value,
    prepare_calibration,
    within,
)
from onnx_evoq.setup.calibration import Calibration

MODEL = load(mlp())
X = random(40, 4, seed=3)
ANSWERS = run(mlp(), {"x": X})["logits"].argmax(axis=1)


def calibration(data: object, metric: str | Callable[..., float] = "auto") -> Calibration:
    rng = np.random.default_rng(0)
    return prepare_calibration(MODEL, "m.onnx", Data(data), metric, 0.5, rng)  # type: ignore[arg-type]


def drop_of_top1(ready: Calibration, quantized: Quantized) -> float:
    scoring = ready.heldout_set.scored_by(find_metric("top1"))
    before, after = (model_value(m, scoring) for m in (MODEL, with_codes(MODEL, quantized)))
    return 100 * (before - after)


def allowed(ready: Calibration, max_drop: float, bits: int) -> bool:
    """Whether the drop of the rounded model is allowed."""
    check = max_drop_check(drop_measure(MODEL, ready), max_drop)
    return check(with_codes(MODEL, rounded(MODEL, bits)))


def test_with_labels_the_drop_is_in_points_of_top1() -> None:
    ready = calibration({"x": X, "y": ANSWERS})
    drop = drop_of_top1(ready, rounded(MODEL, 2))
    assert drop > 0
    assert not allowed(ready, drop - 0.01, 2)
    assert allowed(ready, drop, 2)
    assert allowed(ready, 0, 8)


def test_without_labels_the_drop_is_the_share_of_answers_that_change() -> None:
    labelled = calibration({"x": X, "y": ANSWERS})
    drop = drop_of_top1(labelled, rounded(MODEL, 2))  # its labels are the float model's answers
    ready = calibration(X)
    assert not allowed(ready, drop - 0.01, 2)
    assert allowed(ready, drop, 2)


@pytest.mark.parametrize("higher", [True, False])
def test_with_a_users_metric_the_drop_is_relative(higher: bool) -> None:
    def own(outputs: dict, labels: np.ndarray) -> float:
        # 10 for the float model, whose answers are the labels; 20 percent worse for any other
        exact = np.array_equal(outputs["logits"].argmax(axis=1), labels)
        return 10.0 if exact else (8.0 if higher else 12.0)

    own.higher_is_better = higher  # type: ignore[attr-defined]
    ready = calibration({"x": X, "y": ANSWERS}, own)
    assert not allowed(ready, 19.9, 2)
    assert allowed(ready, 20, 2)


@pytest.mark.parametrize("bits", [2, 8])
def test_the_drop_of_an_autoencoder_is_the_error_as_a_share_of_its_power(bits: int) -> None:
    nodes = [node("MatMul", ["x", "w1"], ["a"]), node("MatMul", ["a", "w2"], ["y"])]
    weights = {"w1": random(4, 8), "w2": random(8, 4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights))
    ready = prepare_calibration(model, "m.onnx", Data(X), "auto", 0.5, np.random.default_rng(0))
    quantized = rounded(model, bits)
    scoring = ready.heldout_set.scored_by(find_metric("nmse"))
    drop = 100 * model_value(with_codes(model, quantized), scoring)
    assert drop > 0
    measure = drop_measure(model, ready)
    assert not max_drop_check(measure, 0.99 * drop)(with_codes(model, quantized))
    assert max_drop_check(measure, 1.01 * drop)(with_codes(model, quantized))


def test_the_check_compares_the_measured_drop() -> None:
    ready = calibration({"x": X, "y": ANSWERS})
    changed = with_codes(MODEL, rounded(MODEL, 2))
    drop = drop_measure(MODEL, ready)(changed)
    assert drop == pytest.approx(drop_of_top1(ready, rounded(MODEL, 2)))
    assert max_drop_check(drop_measure(MODEL, ready), drop)(changed)
    assert not max_drop_check(drop_measure(MODEL, ready), drop - 0.01)(changed)


def test_the_drop_of_the_float_model_is_0() -> None:
    assert drop_measure(MODEL, calibration(X))(MODEL) == 0


def test_the_drop_of_a_better_model_is_below_0() -> None:
    labels = run(with_codes(MODEL, rounded(MODEL, 2)), {"x": X})["logits"].argmax(axis=1)
    ready = calibration({"x": X, "y": labels})
    assert drop_measure(MODEL, ready)(with_codes(MODEL, rounded(MODEL, 2))) < 0


def test_a_drop_of_exactly_the_limit_is_allowed_though_binary_misses_it() -> None:
    assert 100 * (0.8 - 0.7) > 10
    assert within(100 * (0.8 - 0.7), 10)
    assert within(10 + 1e-9, 10)
    assert not within(10 + 3e-9, 10)
    assert not within(float("nan"), 10)


def test_the_drop_of_integer_outputs_is_the_share_that_changes() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("ArgMax", ["a"], ["y"], axis=1, keepdims=0)]
    proto = model_of(
        nodes, {"x": ["n", 4]}, {"y": ["n"]}, {"w": random(4, 3)}, dtypes={"y": "int64"}
    )
    model = load(proto)
    changed = with_codes(model, rounded(model, 2))
    ready = prepare_calibration(model, "m.onnx", Data(X), "auto", None, np.random.default_rng(0))
    share = (run(model, {"x": X})["y"] != run(changed, {"x": X})["y"]).mean()
    assert share > 0
    assert drop_measure(model, ready)(changed) == pytest.approx(100 * share)


def test_the_drop_of_an_image_with_a_mask_is_the_error_as_a_share_of_its_power() -> None:
    # The first output of floats is no row of class scores, and not all outputs are integers.
    nodes = [
        node("MatMul", ["x", "w"], ["y"]),
        node("Greater", ["y", "zero"], ["mask"]),
        node("Cast", ["mask"], ["k"], to=7),
    ]
    weights = {"w": random(4, 3), "zero": np.zeros(1, np.float32)}
    outputs = {"y": ["n", 2, 3], "k": ["n", 2, 3]}
    model = load(model_of(nodes, {"x": ["n", 2, 4]}, outputs, weights, dtypes={"k": "int64"}))
    changed, x = with_codes(model, rounded(model, 2)), random(20, 2, 4)
    ready = prepare_calibration(model, "m.onnx", Data(x), "auto", None, np.random.default_rng(0))
    expected = 100 * model_value(changed, ready.heldout_set.scored_by(find_metric("nmse")))
    assert drop_measure(model, ready)(changed) == pytest.approx(expected)


def test_numbers_of_unlike_scale_are_no_classes() -> None:
    scales = np.array([100, 100, 1], np.float32)
    model = load(
        model_of(
            [node("MatMul", ["x", "w"], ["y"])],
            {"x": ["n", 4]},
            {"y": ["n", 3]},
            {"w": random(4, 3) * scales},
        )
    )
    changed = with_codes(model, rounded(model, 3))
    ready = prepare_calibration(model, "m.onnx", Data(X), "auto", None, np.random.default_rng(0))
    scoring = ready.heldout_set.scored_by(find_metric("channel_nmse"))
    expected = 100 * model_value(changed, scoring)
    assert expected > 20  # the step of the tensor is too large for the third number
    assert drop_measure(model, ready)(changed) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("activations", "remedy"), [(False, ": allow"), (True, ": give its activations more bits, or")]
)
def test_a_drop_that_is_not_allowed_is_an_error_with_both_numbers(
    activations: bool, remedy: str
) -> None:
    check_drop(1.0, 1.0, "m.onnx", activations)
    text = f"drops by 1.24 percent, more than the allowed 1{remedy}"
    with pytest.raises(BudgetError, match=text):
        check_drop(1.2356, 1.0, "m.onnx", activations)


def test_after_an_interruption_nothing_is_said_of_8_bits() -> None:
    with pytest.raises(BudgetError, match=r"^m.onnx: interrupted before .* 1 percent \(so far 2\)"):
        check_drop(2.0, 1.0, "m.onnx", False, interrupted=True)


def test_inputs_that_are_a_guess_are_the_first_to_replace() -> None:
    with pytest.raises(BudgetError, match=r"a guess: give data \(--data\), or allow that much"):
        check_drop(2.0, 1.0, "m.onnx", False, guessed=True)
