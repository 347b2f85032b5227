"""An evaluator scores each candidate as the whole model with these weights is scored."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, model_of, node, random, run, scoring_set, split_net
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnx_evoq.engine import evaluators as module
from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import find_weights, fold_batch_norm, load, replace_weights
from onnx_evoq.quantize import dequantize, fit, nearest
from onnx_evoq.setup import Resources, model_value

pytestmark = pytest.mark.usefixtures("no_least_cache")

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


def split_in_two() -> tuple[ModelProto, Inputs]:
    return load(split_net()), {"x": random(10, 8)}


def recurrent_with_left_out_outputs() -> tuple[ModelProto, Inputs]:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("GRU", ["t", "w1", "r1"], ["", "h1"], hidden_size=3),
        node("GRU", ["t", "w2", "r2"], ["", "h2"], hidden_size=3),
        node("Add", ["h1", "h2"], ["h"]),
        node("Transpose", ["h"], ["y"], perm=[1, 0, 2]),
    ]
    weights = {
        name: random(1, 9, size, seed=seed)
        for seed, (name, size) in enumerate({"w1": 4, "r1": 3, "w2": 4, "r2": 3}.items())
    }
    model = model_of(nodes, {"x": ["n", 5, 4]}, {"y": ["n", 1, 3]}, weights)
    return load(model), {"x": random(10, 5, 4)}


CASES = [
    split_in_two, recurrent_with_left_out_outputs, folded_conv_net, one_by_one, padded, two_outputs,
    reshaped_by_its_own_shape, shared_weight, weights_in_branches,
]  # fmt: skip


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "in a file"])
@pytest.mark.parametrize("make", CASES)
def test_the_evaluator_scores_as_the_rebuilt_model_does(
    make: Callable[[], tuple[ModelProto, Inputs]], memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluators, "at_whole_model", None)  # none of them needs it
    model, inputs = make()
    size = {padded: 4, one_by_one: 1, weights_in_branches: 1}.get(make, 3)
    scoring = scoring_set(model, inputs, size)
    rng = np.random.default_rng(0)
    evaluators = Evaluators([scoring], Resources(memory=memory))
    for weight in find_weights(model)[0]:
        (evaluator,) = evaluators.at(model, weight.name)
        for _ in range(3):
            candidate = weight.values + 0.1 * rng.standard_normal(weight.shape).astype(np.float32)
            rebuilt = replace_weights(model, {weight.name: candidate})
            expected = model_value(rebuilt, scoring)
            assert expected > 0
            assert evaluator.value({weight.name: candidate}) == pytest.approx(expected, rel=1e-5)
        assert evaluator.evaluations == 3


def test_the_evaluator_scores_float16_models_too() -> None:
    model, inputs = folded_conv_net("float16")
    scoring = scoring_set(model, inputs, 4)
    evaluators = Evaluators([scoring], Resources())
    for weight in find_weights(model)[0]:
        grid = fit(weight.values, 3)
        candidate = dequantize(nearest(weight.values, grid), grid)
        (evaluator,) = evaluators.at(model, weight.name)
        expected = model_value(replace_weights(model, {weight.name: candidate}), scoring)
        assert evaluator.value({weight.name: candidate}) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "in a file"])
@pytest.mark.parametrize("make", CASES)
def test_several_weights_are_scored_at_once(
    make: Callable[[], tuple[ModelProto, Inputs]], memory: int
) -> None:
    model, inputs = make()
    size = {padded: 4, one_by_one: 1, weights_in_branches: 1}.get(make, 3)
    scoring = scoring_set(model, inputs, size)
    evaluators = Evaluators([scoring], Resources(memory=memory))
    weights = find_weights(model)[0]
    for some in (weights, weights[-2:]):
        names = [weight.name for weight in some]
        for evaluator in (
            *evaluators.at(model, *names), *evaluators.at_whole_model(model, *names)
        ):  # fmt: skip
            changed = {w.name: w.values + 0.1 * random(*w.shape, seed=3) for w in some}
            expected = model_value(replace_weights(model, changed), scoring)
            assert expected > 0
            assert evaluator.value(changed) == pytest.approx(expected, rel=1e-5)


def test_several_float16_weights_are_scored_at_once() -> None:
    model, inputs = folded_conv_net("float16")
    scoring = scoring_set(model, inputs, 4)
    (evaluator,) = Evaluators([scoring], Resources()).at(model, "w1", "w3")
    changed = {"w1": 0.5 * random(6, 3, 3, 3), "w3": 0.5 * random(6, 5)}
    expected = model_value(replace_weights(model, changed), scoring)
    assert evaluator.value(changed) == pytest.approx(expected, rel=0.02)


def test_the_float_weight_scores_perfectly() -> None:
    model, inputs = folded_conv_net()
    scoring = scoring_set(model, inputs, 4)
    evaluators = Evaluators([scoring], Resources())
    for weight in find_weights(model)[0]:
        (evaluator,) = evaluators.at(model, weight.name)
        assert evaluator.value({weight.name: weight.values}) < 1e-9


def test_each_set_has_an_evaluator_of_its_own() -> None:
    model, inputs = folded_conv_net()
    sets = [scoring_set(model, {"x": part}, 4) for part in (inputs["x"][:6], inputs["x"][6:])]
    evaluators = Evaluators(sets, Resources()).at(model, "w2")
    candidate = 0.5 * random(6, 6, 3, 3)
    rebuilt = replace_weights(model, {"w2": candidate})
    for evaluator, scoring in zip(evaluators, sets, strict=True):
        expected = model_value(rebuilt, scoring)
        assert evaluator.value({"w2": candidate}) == pytest.approx(expected, rel=1e-5)
    assert sets[0].samples == 6


ORDERS = [["w1", "w2", "w3"], ["w3", "w1", "w2"], ["w2", "w2", "w1", "w3", "w2"]]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_a_change_before_the_last_cut_is_noticed(
    order: list[str],
) -> None:
    model, inputs = folded_conv_net()
    scoring = scoring_set(model, inputs, 4)
    evaluators = Evaluators([scoring], Resources())
    for step, name in enumerate(order):
        (evaluator,) = evaluators.at(model, name)
        weight = next(weight for weight in find_weights(model)[0] if weight.name == name)
        candidate = weight.values + 0.1 * random(*weight.shape, seed=step)
        model = replace_weights(model, {name: candidate})  # as a search changes it
        expected = model_value(model, scoring)
        assert evaluator.value({name: candidate}) == pytest.approx(expected, rel=1e-5)


def test_with_a_sequence_at_the_cut_each_candidate_runs_the_whole_model() -> None:
    nodes = [
        node("SequenceConstruct", ["x"], ["s"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("SequenceInsert", ["s", "a"], ["t"]),
        node("ConcatFromSequence", ["t"], ["y"], axis=1),
    ]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 7]}, {"w": random(4, 3)}))
    scoring = scoring_set(model, {"x": random(6, 4)}, 4)
    (evaluator,) = Evaluators([scoring], Resources(workers=1)).at(model, "w")
    candidate = random(4, 3, seed=5)
    expected = model_value(replace_weights(model, {"w": candidate}), scoring)
    assert evaluator.value({"w": candidate}) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("options", "share"), [({}, 1.0), ({"share": 0.5}, 0.5)])
def test_the_cache_may_use_a_share_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, float], share: float
) -> None:
    shares: list[float] = []
    monkeypatch.setattr(module, "ActivationCache", lambda *arguments: shares.append(arguments[2]))
    Evaluators([], Resources(), **options)
    assert shares == [share]


def wide_mlp() -> tuple[ModelProto, Inputs]:
    """With several cores to a run, its products add up in another order."""
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w2"], ["y"]),
    ]
    weights = {"w1": 0.05 * random(784, 128), "w2": 0.1 * random(128, 10)}
    return load(model_of(nodes, {"x": ["n", 784]}, {"y": ["n", 10]}, weights)), {
        "x": random(96, 784)
    }


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "in a file"])
@pytest.mark.parametrize("make", [folded_conv_net, wide_mlp])
def test_two_workers_give_the_scores_of_one_to_the_bit(
    make: Callable[[], tuple[ModelProto, Inputs]], memory: int
) -> None:
    model, inputs = make()
    scoring = scoring_set(model, inputs, 32)
    weight = find_weights(model)[0][-1]
    candidates = [0.2 * random(*weight.shape, seed=seed) for seed in range(16)]
    found = []
    for workers, side_by_side in ((1, False), (2, True), (2, False)):
        evaluators = Evaluators([scoring], Resources(workers=workers, memory=memory))
        (evaluator,) = evaluators.at(model, weight.name)
        evaluator._pool.side_by_side = side_by_side
        losses = evaluator.losses(
            candidates, lambda values: {weight.name: values}, 0, len(scoring.batches)
        )
        found.append(np.array(losses).tobytes())
        assert evaluator.evaluations == 16
    assert found[0] == found[1] == found[2]


def test_losses_of_later_batches_are_those_of_their_samples() -> None:
    model, inputs = folded_conv_net()
    scoring = scoring_set(model, inputs, 4)  # 4, 4 and 2 samples
    labels = np.arange(10) % 5
    labelled = replace(
        scoring,
        criterion=replace(scoring.criterion, metric=find_metric("cross_entropy"), labels=labels),
    )
    (evaluator,) = Evaluators([labelled], Resources()).at(model, "w3")
    candidate = random(6, 5, seed=7)
    parts = [
        evaluator.losses([candidate], lambda values: {"w3": values}, first, end)[0]
        for first, end in ((0, 1), (1, 3))
    ]
    logits = run(replace_weights(model, {"w3": candidate}), inputs)["logits"].astype(np.float64)
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(10), labels]
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-5)


def test_a_user_metric_gets_all_outputs_at_once() -> None:
    def largest(outputs: Inputs, labels: None) -> float:
        assert outputs["logits"].shape == (10, 5)
        return float(outputs["logits"].max())

    largest.higher_is_better = True  # type: ignore[attr-defined]
    model, inputs = folded_conv_net()
    scoring = scoring_set(model, inputs, 4).scored_by(find_metric(largest))
    (evaluator,) = Evaluators([scoring], Resources(workers=2)).at(model, "w3")
    candidate = random(6, 5, seed=7)
    rebuilt = replace_weights(model, {"w3": candidate})
    expected = model_value(rebuilt, scoring)
    assert evaluator.value({"w3": candidate}) == pytest.approx(expected, rel=1e-6)
