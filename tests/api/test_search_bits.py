"""Search for the widths of the layers."""

import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from calls import optimize, search_bits
from graphs import mlp, model_of, node, random, run
from searches import shorten

import onnx_evoq
from onnx_evoq import EvoqError
from onnx_evoq.model import serialize
from onnx_evoq.run import Deadline

X = random(32, 4, seed=5)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Searches of two generations."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        yield


@pytest.fixture(scope="module")
def found(short: None) -> onnx_evoq.Search:
    """The search of a small network."""
    return found_in(seed=3)


def found_in(model: Any = None, data: Any = None, **options: Any) -> onnx_evoq.Search:
    return search_bits(model or mlp(), X if data is None else data, **options)


def test_a_search_says_how_it_was_made(found: onnx_evoq.Search) -> None:
    values = found.to_dict()
    assert (values["model"], values["metric"], values["size"], values["seed"]) == (
        "the model in memory", "mse", "packed", 3,
    )  # fmt: skip
    assert len(values["uniform"]) == 7
    assert values["hypervolume"].keys() == {"front", "uniform", "greedy"}
    assert found.evaluations > 0
    assert 0 < found.seconds < 600
    assert (found.stopped, found.notes) == (None, ())


def test_the_same_seed_finds_the_same_front_with_any_number_of_workers(
    found: onnx_evoq.Search,
) -> None:
    one, two = (each.to_dict() for each in (found, found_in(seed=3, workers=2)))
    for values in (one, two):
        values["seconds"] = 0
        values["history"] = [{**moment, "seconds": 0} for moment in values["history"]]
    assert one == two


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_point_is_optimized_as_it_was_measured(
    found: onnx_evoq.Search, per_channel: bool
) -> None:
    search = found_in(per_channel=True) if per_channel else found
    for point in (search.front[0], search.front[len(search.front) // 2]):
        result = optimize(mlp(), X, policy=point, strategy="none")
        assert result.packed_bytes == point.packed_bytes
        assert 0 <= point.file_bytes - result.bytes_after < 300
        several = set(point.policy.granularity.values())
        assert result.granularity == ("mixed" if len(several) > 1 else several.pop())
        assert result.bits is None


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_search_may_be_restricted_to_one_granularity(granularity: Any) -> None:
    found = found_in(granularity=granularity, time_budget=1e-3)
    for point in (*found.front, *found.uniform, *found.greedy):
        assert set(point.policy.granularity.values()) == {granularity}


def test_uniform_widths_have_one_step_for_each_weight(found: onnx_evoq.Search) -> None:
    for point in found.uniform:
        assert set(point.policy.granularity.values()) == {"tensor"}


def test_a_saved_policy_gives_the_bytes_of_the_point(found: onnx_evoq.Search) -> None:
    point = found.front[2]
    saved = json.loads(json.dumps(point.to_dict()))
    one, two = (optimize(mlp(), X, policy=policy, strategy="none") for policy in (point, saved))
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
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(EvoqError, match=text):
        found_in(**options)


def test_a_metric_of_the_user_makes_a_front() -> None:
    def closeness(outputs: dict, labels: np.ndarray) -> float:
        return -float(np.abs(outputs["logits"] - labels).mean())

    closeness.higher_is_better = True  # type: ignore[attr-defined]
    data = {"x": X, "y": run(mlp(), {"x": X})["logits"]}
    found = found_in(data=data, metric=closeness, time_budget=1e-3)
    values = [point.search for point in found.front]
    assert values == sorted(values)
    assert max(values) < 0
    assert found.hypervolume["front"] > 0


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"expansion": False}, "expansion", False),
        ({"expansion": True}, "expansion", True),
        ({"per_channel": True}, "per_channel", True),
        ({"per_channel": False}, "per_channel", False),
        ({"size": "file"}, "in_file", True),
        ({"size": "packed"}, "in_file", False),
        ({"granularity": "any"}, "granularities", ("tensor", "channel")),
        ({"granularity": "channel"}, "granularities", ("channel",)),
    ],
)
def test_the_search_is_restricted_to_its_space(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], name: str, value: Any
) -> None:
    def record(task: Any, drop: Any, rng: Any, options: Any, *, scored: Any) -> None:
        assert scored.samples == task.search_set.samples
        assert getattr(options, name) == value
        raise InterruptedError

    monkeypatch.setattr(sys.modules["onnx_evoq.api.search_bits"], "search_front", record)
    with pytest.raises(InterruptedError):
        found_in(**options)


def test_an_interrupted_search_keeps_its_front_and_says_so() -> None:
    found = found_in(progress=interrupting_at("evolving"))
    assert found.stopped == "interrupt"
    assert any("the search was interrupted: the front is what" in note for note in found.notes)
    assert len(found.uniform) == 7


def interrupting_at(label: str) -> Any:
    """Progress that raises at the first step of one part of the work."""

    def progress(name: str, total: float) -> Any:
        def step(amount: float, **where: Any) -> None:
            if name == label:
                raise KeyboardInterrupt

        return nullcontext(step)

    return progress


def test_models_with_several_inputs_have_a_front() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["z", "v"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"w": random(4, 3), "v": random(5, 3, seed=1)}
    model = model_of(nodes, {"x": ["n", 4], "z": ["n", 5]}, {"y": ["n", 3]}, weights)
    data = {"x": random(20, 4, seed=2), "z": random(20, 5, seed=3)}
    found = found_in(model, data, time_budget=1e-3)
    assert len(found.uniform) == 7
    assert {*found.front[0].policy.bits} == {"w", "v"}


def test_a_search_without_time_says_so() -> None:
    found = found_in(time_budget=1e-3)
    assert found.stopped == "time"
    assert any("the time budget cut the search for widths short" in note for note in found.notes)
    assert len(found.uniform) == 7


def test_weights_that_are_kept_are_no_part_of_a_policy() -> None:
    found = found_in(keep=["layer1"], time_budget=1e-3)
    assert all(set(point.policy.bits) == {"second"} for point in found.front)
    assert not any(point.policy.expansion for point in found.front)


def test_the_defaults_are_those_of_the_documentation() -> None:
    parameters = inspect.signature(onnx_evoq.search_bits).parameters
    assert onnx_evoq.SearchSpace() == onnx_evoq.SearchSpace(False, True, "packed")
    names = ("time_budget", "holdout", "seed", "metric")
    assert tuple(parameters[name].default for name in names) == (600.0, 0.25, 0, "auto")


@pytest.mark.parametrize(
    ("left", "share"), [(90.0, 0.1), (450.0, 0.5), (10_000.0, 1.0), (None, 1.0), (0.0, 1e-6)]
)
def test_points_are_scored_on_as_many_samples_as_the_time_allows(
    left: float | None, share: float
) -> None:
    calibration: Any = SimpleNamespace(
        search_set=SimpleNamespace(samples=60), heldout_set=SimpleNamespace(samples=20), seconds=0.1
    )
    scored_share = sys.modules["onnx_evoq.api.search_bits"]._scored_share
    assert scored_share(calibration, Deadline(left, lambda: 0.0)) == pytest.approx(share)


def test_samples_that_do_not_score_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["onnx_evoq.api.search_bits"]
    monkeypatch.setattr(module, "_scored_share", lambda *_: 0.1)
    found = found_in(data=random(800, 4))
    (note,) = [note for note in found.notes if note.startswith("the points are scored on")]
    assert note.endswith("samples, to save time.")


def test_points_have_the_error_of_quantized_activations(found: onnx_evoq.Search) -> None:
    integers = found_in(seed=3, activations=4, time_budget=1e-3)
    assert [point.policy.bits for point in integers.uniform] == [
        point.policy.bits for point in found.uniform
    ]
    # Wide weights have next to no error of their own.
    assert integers.uniform[-1].search > 10 * found.uniform[-1].search


def test_a_target_leaves_the_granularities_that_it_takes() -> None:
    points = found_in(seed=3, target="vitis").front
    assert {own for each in points for own in each.policy.granularity.values()} == {"tensor"}
    with pytest.raises(EvoqError, match="target vitis does not take granularity channel"):
        found_in(granularity="channel", target="vitis")
    with pytest.raises(EvoqError, match="vitis takes no steps, and no widths, per channel"):
        found_in(per_channel=True, target="vitis")
