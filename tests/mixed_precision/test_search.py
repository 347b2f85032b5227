"""The search for the front between size and error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, recurrent, task_of

import onnx_evoq.mixed_precision.search as mixed_search
from onnx_evoq.mixed_precision import search_front
from onnx_evoq.mixed_precision.point import ParetoPoint
from onnx_evoq.mixed_precision.search import ParetoFront
from onnx_evoq.model import Model, fold_batch_norm, load
from onnx_evoq.run import Deadline
from onnx_evoq.search.pareto import dominates
from onnx_evoq.setup import Policy, Resources
from onnx_evoq.setup.task import Task

SEARCH, HELDOUT = random(24, 4, seed=5), random(12, 4, seed=6)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of a few generations."""
    monkeypatch.setattr(mixed_search, "_POPULATION", 16)
    monkeypatch.setattr(mixed_search, "_GENERATIONS", 4)


def wide_net(outlier: float = 1.0) -> Model:
    """x (n, 4) -> MatMul, Relu -> MatMul; 16 hidden units, one read with larger weights."""
    weights = {"first": random(4, 16, seed=1), "second": random(16, 3, seed=2)}
    weights["second"][5] *= outlier
    nodes = [
        node("MatMul", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("MatMul", ["b", "second"], ["y"]),
    ]
    return load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights))


def mlp_task(**options: Any) -> Task:
    return task_of(load(mlp()), SEARCH, HELDOUT, **options)


def searched(task: Task, seed: int = 0, **options: Any) -> ParetoFront:
    options = {"points": 3, **options}
    return search_front(task, lambda _: 0.0, np.random.default_rng(seed), **options)


def objectives(points: tuple[ParetoPoint, ...], task: Task, in_file: bool = False) -> np.ndarray:
    fitness = task.search_set.target.metric.fitness
    rows = [(p.file_bytes if in_file else p.packed_bytes, fitness(p.search)) for p in points]
    return np.array(rows, np.float64).reshape(-1, 2)


def check(front: ParetoFront, task: Task, in_file: bool = False) -> None:
    """The front is one, it lies behind nothing, and the uniform widths are all there."""
    ours = objectives(front.points, task, in_file)
    others = objectives((*front.uniform, *front.greedy), task, in_file)
    assert not dominates(ours[:, None], ours).any()
    assert not dominates(others[:, None], ours).any()
    for other in others:
        assert (ours <= other).all(axis=1).any()  # on the front, or behind it
    assert (np.diff(ours[:, 0]) >= 0).all()
    names = [weight.name for weight in task.weights]
    assert len(front.uniform) == 7
    for bits, point in zip(range(2, 9), front.uniform, strict=True):
        assert point.policy.bits.keys() == set(names)
        assert {*np.hstack(list(point.policy.bits.values()))} == {bits}


def test_the_front_never_lies_behind_uniform_widths_and_greedy_choices() -> None:
    task = mlp_task()
    front = searched(task)
    check(front, task)
    assert front.greedy[0] == front.uniform[0]
    for greedy, uniform in zip(front.greedy, front.uniform, strict=True):
        assert greedy.packed_bytes <= uniform.packed_bytes
    assert front.stopped is None
    assert front.evaluations > 16


@pytest.mark.parametrize("metric", ["sqnr", "kl", "nmse"])
def test_any_metric_makes_a_front(metric: str) -> None:
    task = mlp_task(metric=metric)
    front = searched(task)
    check(front, task)
    if metric == "sqnr":  # higher is better
        values = [point.search for point in front.points]
        assert values == sorted(values)


def test_the_same_seed_finds_the_same() -> None:
    assert searched(mlp_task(), 1) == searched(mlp_task(), 1)


@pytest.mark.parametrize("groups", [False, True])
def test_workers_change_nothing(groups: bool) -> None:
    options: Any = {"granularity": "channel"} if groups else {}
    kinds = ("channel",) if groups else ("tensor",)
    fronts = [
        searched(
            task_of(wide_net(), SEARCH, HELDOUT, resources=Resources(workers=n), **options),
            groups=groups,
            kinds=kinds,
        )
        for n in (1, 2)
    ]
    assert fronts[0] == fronts[1]


def test_without_expansion_nothing_is_split() -> None:
    front = searched(mlp_task(), expansion=False)
    assert not any(point.policy.expansion for point in front.points)


def test_channels_are_split_where_that_pays() -> None:
    task = task_of(wide_net(10.0), SEARCH, HELDOUT)
    front = searched(task, points=8)
    check(front, task)
    assert any(point.policy.expansion for point in front.points)


def test_channels_may_have_widths_in_groups() -> None:
    task = task_of(wide_net(), SEARCH, HELDOUT, granularity="channel")
    front = searched(task, groups=True, kinds=("channel",))
    check(front, task)
    mixed = [p.policy.bits["first"] for p in front.points if p not in front.uniform]
    assert any(len(set(bits)) > 1 for bits in mixed)
    assert all(isinstance(point.policy.bits["first"], tuple) for point in front.points)


def test_weights_whose_channels_differ_have_steps_per_channel() -> None:
    spread = 2.0 ** -np.arange(16, dtype=np.float32)
    weights = {"first": random(64, 16, seed=1) * spread, "second": random(16, 3, seed=2)}
    weights["second"] /= spread[:, None]  # all hidden units count alike
    nodes = [
        node("MatMul", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("MatMul", ["b", "second"], ["y"]),
    ]
    model = load(model_of(nodes, {"x": ["n", 64]}, {"y": ["n", 3]}, weights))
    task = task_of(model, random(24, 64, seed=5), random(12, 64, seed=6))
    front = searched(task, kinds=("tensor", "channel"))
    check(front, task)
    assert any(p.policy.granularity["first"] == "channel" for p in front.points)


def test_the_bytes_of_the_file_can_count() -> None:
    task = mlp_task()
    front = searched(task, in_file=True)
    check(front, task, in_file=True)


@pytest.mark.parametrize("name", ["recurrent", "float16", "one weight"])
def test_odd_models_have_fronts(name: str) -> None:
    if name == "recurrent":
        model, x = load(recurrent()), np.random.default_rng(0).integers(0, 7, size=(16, 5))
    elif name == "float16":
        model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
        x = random(16, 3, 8, 8, dtype="float16")
    else:
        nodes = [node("MatMul", ["x", "w"], ["y"])]
        model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)}))
        x = random(16, 4)
    task = task_of(model, x[:10], x[10:])
    check(searched(task, points=1), task)


def test_a_task_without_time_has_the_uniform_widths() -> None:
    front = searched(mlp_task(deadline=Deadline(0)))
    check(front, mlp_task())
    assert front.stopped == "time"
    assert front.evaluations <= 40  # the first generation
    assert all(point in front.uniform for point in (*front.points, *front.greedy))


class Interrupting:
    """A progress whose stage is interrupted at a step."""

    def __init__(self, stage: str, step: int) -> None:
        self.stage, self.left = stage, step

    def __call__(self, stage: str, total: float) -> "Interrupting":
        self.now = stage
        return self

    def __enter__(self) -> Any:
        return self.step

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, _: float) -> None:
        if self.now == self.stage:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize(("stage", "step"), [("evolving", 2), ("building", 8)])
def test_an_interrupt_keeps_what_was_found(stage: str, step: int) -> None:
    task = mlp_task(progress=Interrupting(stage, step))
    front = searched(task)
    check(front, task)
    assert front.stopped == "interrupt"


def test_an_interrupt_in_the_first_generation_leaves_the_uniform_widths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr(mixed_search.LayerTable, "values", interrupted)
    task = mlp_task()
    front = searched(task)
    check(front, task)
    assert (front.stopped, front.evaluations) == ("interrupt", 0)


@pytest.mark.parametrize("stage", ["candidates", "sensitivity", "building"])
def test_an_interrupt_before_there_is_anything_to_keep_goes_on(stage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        searched(mlp_task(progress=Interrupting(stage, 1)))


def test_a_point_whose_error_is_no_number_is_not_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mixed_search.build_point

    def build_point(task: Task, policy: Policy, seed: int, drop: Any) -> ParetoPoint:
        point = real(task, policy, seed, drop)
        return replace(point, search=np.nan) if policy.bits["first"] == 2 else point

    monkeypatch.setattr(mixed_search, "build_point", build_point)
    front = searched(mlp_task())
    assert len(front.uniform) == 7
    assert not any(np.isnan(point.search) for point in front.points)


# Greedy choices
