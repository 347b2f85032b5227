"""Search for the widths of the layers."""

import json
from typing import Any

import numpy as np
import pytest
from calls import optimize, search_bits
from graphs import conv_net, mlp, model_of, node, random, run

import onnx_evoq
from onnx_evoq import EvoqError, Result
from onnx_evoq.mixed_precision import evolution
from onnx_evoq.model import serialize

QUICK: dict[str, Any] = {"population": 4, "generations": 3, "mutation_rate": 0.05}
X = random(40, 3, 8, 8, seed=3)


def optimized(model: Any = None, data: Any = X, **options: Any) -> Result:
    return optimize(model or conv_net(), data, **{**QUICK, "bits": 4, **options})


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of two generations."""
    monkeypatch.setattr(evolution, "_POPULATION", 8)
    monkeypatch.setattr(evolution, "_GENERATIONS", 2)


def found_in(model: Any = None, data: Any = None, **options: Any) -> onnx_evoq.Search:
    x = random(32, 4, seed=5) if data is None else data
    return search_bits(model or mlp(), x, **options)


@pytest.mark.usefixtures("short")
def test_a_search_tells_all_that_it_found() -> None:
    found = found_in(seed=3)
    values = found.to_dict()
    assert (values["model"], values["metric"], values["size"], values["seed"]) == (
        "the model in memory", "mse", "packed", 3,
    )  # fmt: skip
    assert len(values["uniform"]) == 7
    assert values["hypervolume"].keys() == {"front", "uniform", "greedy"}
    assert found.evaluations > 0
    assert found.seconds > 0
    assert (found.stopped, found.notes) == (None, ())


@pytest.mark.usefixtures("short")
def test_the_same_seed_finds_the_same_front() -> None:
    one, two = (found_in(seed=4, workers=workers).to_dict() for workers in (1, 2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_point_is_optimized_as_it_was_measured(per_channel: bool) -> None:
    x = random(32, 4, seed=5)
    found = found_in(data=x, per_channel=per_channel)
    for point in (found.front[0], found.front[len(found.front) // 2]):
        result = optimize(mlp(), x, policy=point, strategy="none")
        assert result.packed_bytes == point.packed_bytes
        assert 0 <= point.file_bytes - result.bytes_after < 300
        several = set(point.policy.granularity.values())
        assert result.granularity == ("mixed" if len(several) > 1 else several.pop())
        assert result.bits is None


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_search_may_be_held_to_one_granularity(granularity: Any) -> None:
    found = found_in(granularity=granularity)
    for point in (*found.front, *found.uniform, *found.greedy):
        assert set(point.policy.granularity.values()) == {granularity}


@pytest.mark.usefixtures("short")
def test_uniform_widths_have_one_step_for_each_weight() -> None:
    for point in found_in().uniform:
        assert set(point.policy.granularity.values()) == {"tensor"}


@pytest.mark.usefixtures("short")
def test_a_saved_policy_gives_the_bytes_of_the_point() -> None:
    x = random(32, 4, seed=5)
    point = found_in(data=x).front[2]
    saved = json.loads(json.dumps(point.to_dict()))
    one, two = (
        optimize(mlp(), x, policy=policy, time_budget=None, **QUICK) for policy in (point, saved)
    )
    assert serialize(one.model) == serialize(two.model)
    assert {layer.name: layer.bits for layer in one.layers} == point.policy.bits


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": "zip"}, "size 'zip' is unknown: choose packed or file"),
        ({"granularity": "row"}, "granularity 'row' is unknown"),
        (
            {"granularity": "tensor", "per_channel": True},
            "widths per channel need steps per channel: choose granularity channel or any",
        ),
        ({"seed": -1}, "seed -1 is negative"),
        ({"holdout": 1.0}, "holdout"),
        ({"keep": ["*"]}, "leaves no weight to quantize"),
        ({"workers": 0}, "workers 0 score nothing"),
    ],
)
def test_a_search_checks_what_it_is_asked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(EvoqError, match=text):
        found_in(**options)


@pytest.mark.usefixtures("short")
def test_a_metric_of_the_user_makes_a_front() -> None:
    def closeness(outputs: dict, labels: np.ndarray) -> float:
        return -float(np.abs(outputs["logits"] - labels).mean())

    closeness.higher_is_better = True  # type: ignore[attr-defined]
    x = random(32, 4, seed=5)
    found = found_in(data={"x": x, "y": run(mlp(), {"x": x})["logits"]}, metric=closeness)
    values = [point.search for point in found.front]
    assert values == sorted(values)
    assert max(values) < 0
    assert found.hypervolume["front"] > 0


@pytest.mark.usefixtures("short")
def test_models_with_several_inputs_have_a_front() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["z", "v"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"w": random(4, 3), "v": random(5, 3, seed=1)}
    model = model_of(nodes, {"x": ["n", 4], "z": ["n", 5]}, {"y": ["n", 3]}, weights)
    found = found_in(model, {"x": random(20, 4, seed=2), "z": random(20, 5, seed=3)})
    assert len(found.uniform) == 7
    assert {*found.front[0].policy.bits} == {"w", "v"}


def test_a_search_without_time_says_so() -> None:
    found = found_in(time_budget=1e-3)
    assert found.stopped == "time"
    assert any("the time budget cut the search short" in note for note in found.notes)
    assert len(found.uniform) == 7


@pytest.mark.usefixtures("short")
def test_weights_that_are_kept_are_no_part_of_a_policy() -> None:
    found = found_in(keep=["layer1"])
    assert all(set(point.policy.bits) == {"second"} for point in found.front)
    assert not any(point.policy.expansion for point in found.front)
