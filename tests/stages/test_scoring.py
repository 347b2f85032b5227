"""The evaluator scores each candidate as a freshly built whole model does."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, model_of, node, random, scoring_set
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnx_evoq.model import (
    find_weights,
    fold_batch_norm,
    load,
    replace_weights,
)
from onnx_evoq.quantize import dequantize, fit, nearest
from onnx_evoq.stages.scoring import layer_evaluators, model_value

Inputs = dict[str, NDArray[np.generic]]


def folded_conv_net(dtype: str = "float32") -> tuple[ModelProto, Inputs]:
    model, _ = fold_batch_norm(load(conv_net(dtype=dtype)))
    return model, {"x": random(10, 3, 8, 8, dtype=dtype)}


def one_by_one() -> tuple[ModelProto, Inputs]:
    return load(mlp(batch=1)), {"x": random(10, 4)}


def padded() -> tuple[ModelProto, Inputs]:
    return load(mlp(batch=4)), {"x": random(10, 4)}


def two_outputs() -> tuple[ModelProto, Inputs]:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["early"]),
        node("MatMul", ["early", "w2"], ["late"]),
    ]
    outputs = {"early": ["n", 5], "late": ["n", 3]}
    model = model_of(nodes, {"x": ["n", 4]}, outputs, {"w1": random(4, 5), "w2": random(5, 3)})
    return load(model), {"x": random(10, 4)}


def reshaped_by_its_own_shape() -> tuple[ModelProto, Inputs]:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Flatten", ["x"], ["flat"]),
        node("MatMul", ["flat", "w1"], ["a"]),
        node("Reshape", ["a", "shape"], ["b"]),
        node("MatMul", ["b", "w2"], ["y"]),
    ]
    weights = {"w1": random(12, 12), "w2": random(4, 3)}
    model = model_of(nodes, {"x": ["n", 3, 4]}, {"y": ["n", 3, 3]}, weights)
    return load(model), {"x": random(10, 3, 4)}


def shared_weight() -> tuple[ModelProto, Inputs]:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Tanh", ["a"], ["b"]),
        node("Gemm", ["b", "w"], ["c"], transB=1),
        node("Add", ["c", "x"], ["y"]),
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)})
    return load(model), {"x": random(10, 4)}


def weights_in_branches() -> tuple[ModelProto, Inputs]:
    def branch(name: str) -> onnx.GraphProto:
        return helper.make_graph(
            [node("MatMul", ["a", "w"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])],
            [numpy_helper.from_array(random(4, 3, seed=len(name)), "w")],
        )

    nodes = [
        node("MatMul", ["x", "v"], ["a"]),
        node("If", ["flag"], ["b"], then_branch=branch("yes"), else_branch=branch("no")),
        node("Relu", ["b"], ["y"]),
    ]
    model = model_of(
        nodes, {"x": ["n", 4], "flag": [1]}, {"y": ["n", 3]}, {"v": random(4, 4)},
        dtypes={"flag": "bool"},
    )  # fmt: skip
    flags = np.arange(10)[:, None] % 2 == 0
    return load(model), {"x": random(10, 1, 4), "flag": flags}


CASES = [
    folded_conv_net, one_by_one, padded, two_outputs, reshaped_by_its_own_shape, shared_weight,
    weights_in_branches,
]  # fmt: skip


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "in a file"])
@pytest.mark.parametrize("make", CASES)
def test_the_evaluator_scores_as_the_rebuilt_model_does(
    make: Callable[[], tuple[ModelProto, Inputs]], memory: int
) -> None:
    model, inputs = make()
    size = {padded: 4, one_by_one: 1, weights_in_branches: 1}.get(make, 3)
    scoring = scoring_set(model, inputs, size)
    rng = np.random.default_rng(0)
    for weight in find_weights(model)[0]:
        (evaluator,) = layer_evaluators(model, weight.name, [scoring], memory=memory)
        for _ in range(3):
            candidate = weight.values + 0.1 * rng.standard_normal(weight.shape).astype(np.float32)
            rebuilt = replace_weights(model, {weight.name: candidate})
            expected = model_value(rebuilt, scoring)
            assert expected > 0
            assert evaluator.value(candidate) == pytest.approx(expected, rel=1e-5)
        assert evaluator.evaluations == 3


def test_the_evaluator_scores_float16_models_too() -> None:
    model, inputs = folded_conv_net("float16")
    scoring = scoring_set(model, inputs, 4)
    for weight in find_weights(model)[0]:
        grid = fit(weight.values, 3)
        candidate = dequantize(nearest(weight.values, grid), grid)
        (evaluator,) = layer_evaluators(model, weight.name, [scoring])
        expected = model_value(replace_weights(model, {weight.name: candidate}), scoring)
        assert evaluator.value(candidate) == pytest.approx(expected, rel=0.02)


def test_the_float_weight_scores_perfectly() -> None:
    model, inputs = folded_conv_net()
    scoring = scoring_set(model, inputs, 4)
    for weight in find_weights(model)[0]:
        (evaluator,) = layer_evaluators(model, weight.name, [scoring])
        assert evaluator.value(weight.values) < 1e-9


def test_several_sets_are_scored_apart() -> None:
    model, inputs = folded_conv_net()
    sets = [scoring_set(model, {"x": part}, 4) for part in (inputs["x"][:6], inputs["x"][6:])]
    evaluators = layer_evaluators(model, "w2", sets)
    candidate = 0.5 * random(6, 6, 3, 3)
    rebuilt = replace_weights(model, {"w2": candidate})
    for evaluator, scoring in zip(evaluators, sets, strict=True):
        assert evaluator.value(candidate) == pytest.approx(model_value(rebuilt, scoring), rel=1e-5)
    assert sets[0].samples == 6
