"""Score a model, quantized or not."""

import numpy as np
import pytest
from calls import optimize
from graphs import conv_net, mlp, model_of, node, random, run

import onnx_evoq
from onnx_evoq import EvoqError

X = random(40, 3, 8, 8, seed=3)


def test_evaluate_compares_with_a_reference() -> None:
    labels = run(conv_net(), {"x": X})["logits"].argmax(axis=1)
    quantized = optimize(conv_net(), X, bits=8, strategy="none", init="nearest").model
    evaluation = onnx_evoq.evaluate(quantized, {"x": X, "y": labels}, reference=conv_net())
    assert evaluation.metric == "top1"
    assert evaluation.value == evaluation.agreement  # the labels are the float model's answers
    assert 0 < evaluation.mse < 0.1
    assert evaluation.samples == 40


def test_evaluate_takes_outputs_of_other_names_by_position() -> None:
    renamed = mlp()
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "scores"
    evaluation = onnx_evoq.evaluate(renamed, random(9, 4), reference=mlp())
    assert (evaluation.mse, evaluation.agreement) == (0, 1)


def test_evaluate_needs_something_to_score_against() -> None:
    with pytest.raises(EvoqError, match="nothing to score against: give data with labels"):
        onnx_evoq.evaluate(mlp(), random(9, 4))


def test_evaluate_notes_outputs_that_are_no_numbers() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Log", ["a"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)})
    evaluation = onnx_evoq.evaluate(model, {"x": random(9, 4), "y": np.zeros(9, int)})
    assert any("output 'y' is NaN or infinite for" in note for note in evaluation.notes)


def test_a_quantized_model_may_be_the_reference() -> None:
    quantized = optimize(mlp(), random(16, 4), bits=4, strategy="none", init="nearest").model
    evaluation = onnx_evoq.evaluate(quantized, random(9, 4), reference=quantized)
    assert (evaluation.mse, evaluation.agreement) == (0, 1)


def test_without_data_the_seed_draws_the_inputs() -> None:
    quantized = optimize(mlp(), random(16, 4), bits=4, strategy="none", init="nearest").model
    usual, zero, one = (
        onnx_evoq.evaluate(quantized, reference=mlp(), **options).mse
        for options in ({}, {"seed": 0}, {"seed": 1})
    )
    assert usual == zero != one


def test_without_data_the_reference_says_which_inputs_are_drawn() -> None:
    product, weights = node("MatMul", ["x", "w"], ["y"]), {"w": random(4, 3)}
    plain = model_of([product], {"x": ["n", 4]}, {"y": ["n", 3]}, weights)
    nodes = [node("Div", ["x", "c"], ["d"]), node("MatMul", ["d", "w"], ["y"])]
    of_bytes = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {**weights, "c": np.float32(255)})
    for reference, limits in ((plain, "-2 to 2"), (of_bytes, "0 to 255")):
        assert limits in onnx_evoq.evaluate(plain, reference=reference).notes[0]


def test_an_evaluation_names_the_model_and_the_metric() -> None:
    evaluation = onnx_evoq.evaluate(mlp(), random(9, 4), reference=mlp(), metric="sqnr")
    assert (evaluation.source, evaluation.metric) == ("the model in memory", "sqnr")
    assert (evaluation.samples, evaluation.notes) == (9, ())


@pytest.mark.parametrize("metric", ["mse", "auto"])
def test_the_metric_is_that_of_the_user_or_the_usual_one(metric: str) -> None:
    data = {"x": random(9, 4), "y": np.zeros(9, int)}
    chosen = onnx_evoq.evaluate(mlp(), data, reference=mlp(), metric=metric).metric
    assert chosen == ("top1" if metric == "auto" else metric)


def test_a_metric_that_is_nan_is_refused() -> None:
    def undefined(outputs: object, labels: object) -> float:
        return float("nan")

    undefined.higher_is_better = True  # type: ignore[attr-defined]
    data = {"x": random(9, 4), "y": np.zeros(9, int)}
    with pytest.raises(EvoqError, match="returns NaN"):
        onnx_evoq.evaluate(mlp(), data, metric=undefined)


def test_a_reference_with_outputs_that_are_no_numbers_is_noted() -> None:
    broken = mlp()
    values = random(4, 6)
    values[0, 0] = np.nan
    broken.graph.initializer[0].raw_data = values.tobytes()
    data = {"x": random(9, 4), "y": np.zeros(9, int)}
    evaluation = onnx_evoq.evaluate(mlp(), data, reference=broken)
    assert any("NaN or infinite" in note for note in evaluation.notes)
