"""Score a model, quantized or not."""

from typing import Any

import numpy as np
import pytest
from calls import optimize
from graphs import conv_net, mlp, model_of, node, random, run

import onnx_evoq
from onnx_evoq import EvoqError, Result

QUICK: dict[str, Any] = {"population": 4, "generations": 3, "mutation_rate": 0.05}
X = random(40, 3, 8, 8, seed=3)


def optimized(model: Any = None, data: Any = X, **options: Any) -> Result:
    return optimize(model or conv_net(), data, **{**QUICK, "bits": 4, **options})


def test_evaluate_compares_with_a_reference() -> None:
    labels = run(conv_net(), {"x": X})["logits"].argmax(axis=1)
    evaluation = onnx_evoq.evaluate(
        optimized(bits=8).model, {"x": X, "y": labels}, reference=conv_net()
    )
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
