"""The search for the front between size and output error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, recurrent, task_of
from searches import shorten

from onnx_evoq.mixed_precision import Policy, evolution, point, search_front
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.point import ParetoPoint
from onnx_evoq.mixed_precision.search import ParetoFront, pareto_points, sizes_between
from onnx_evoq.mixed_precision.search_space import SearchSpaceOptions
from onnx_evoq.model import Model, fold_batch_norm, load
from onnx_evoq.run import Deadline
from onnx_evoq.search.pareto import dominates
from onnx_evoq.setup import Resources, Task

SEARCH, HELDOUT = random(24, 4, seed=5), random(12, 4, seed=6)


@pytest.fixture(autouse=True, scope="module")
def short() -> Any:
    """A search of a few generations."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, generations=3)
        yield


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


def search(task: Task, seed: int = 0, points: int = 1, **options: Any) -> ParetoFront:
    rng = np.random.default_rng(seed)
    return search_front(task, lambda _: 0.0, rng, SearchSpaceOptions(**options), points)


def objectives(points: tuple[ParetoPoint, ...], task: Task, in_file: bool = False) -> np.ndarray:
    fitness = task.search_set.criterion.metric.fitness
    rows = [(p.file_bytes if in_file else p.packed_bytes, fitness(p.search)) for p in points]
    return np.array(rows, np.float64).reshape(-1, 2)


def check(front: ParetoFront, task: Task, in_file: bool = False) -> None:
    """No point of the front is dominated, and the uniform widths are all there."""
    ours = objectives(front.points, task, in_file)
    others = objectives((*front.uniform, *front.greedy), task, in_file)
    assert not dominates(ours[:, None], ours).any()
    assert not dominates(others[:, None], ours).any()
    for other in others:
        assert (ours <= other).all(axis=1).any()  # on the front, or behind it
    assert (np.diff(ours[:, 0]) >= 0).all()
    names = [weight.name for weight in task.weights]
    assert len(front.uniform) == 7
    for bits, uniform in zip(range(2, 9), front.uniform, strict=True):
        assert uniform.policy.bits.keys() == set(names)
        assert {*np.hstack(list(uniform.policy.bits.values()))} == {bits}


@pytest.fixture(scope="module")
def front(short: None) -> ParetoFront:
    """The front of the perceptron."""
    return search(mlp_task())


def test_no_uniform_and_no_greedy_point_beats_the_front(front: ParetoFront) -> None:
    check(front, mlp_task())
    assert front.stopped is None
    assert front.notes == ()


def test_a_greedy_point_is_as_small_as_the_uniform_one_of_its_size(front: ParetoFront) -> None:
    assert front.greedy[0] == front.uniform[0]
    for greedy, uniform in zip(front.greedy, front.uniform, strict=True):
        assert greedy.packed_bytes <= uniform.packed_bytes


def test_the_front_has_points_between_the_uniform_widths(front: ParetoFront) -> None:
    assert any(p not in (*front.uniform, *front.greedy) for p in front.points)
    assert front.evaluations > 2 * 8  # two generations, and the first one


def test_the_same_seed_finds_the_same_front_with_any_workers(front: ParetoFront) -> None:
    assert search(mlp_task(resources=Resources(workers=2))) == front


def test_a_metric_of_which_more_is_better_makes_a_front() -> None:
    task = mlp_task(metric="sqnr")
    front = search(task, points=0)
    check(front, task)
    values = [point.search for point in front.points]
    assert values == sorted(values)


def test_channels_are_split_where_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evolution, "_POPULATION", 16)
    task = task_of(wide_net(100.0), SEARCH, HELDOUT)
    front = search(task)
    check(front, task)
    assert any(point.policy.expansion for point in front.points)
    without = search(task, points=0, expansion=False)
    assert not any(point.policy.expansion for point in without.points)


def test_channels_may_have_widths_in_groups() -> None:
    task = task_of(wide_net(), SEARCH, HELDOUT, granularity="channel")
    front = search(task, points=0, per_channel=True, granularities=("channel",))
    check(front, task)
    mixed = [p.policy.bits["first"] for p in front.points if p not in front.uniform]
    assert any(len(set(bits)) > 1 for bits in mixed)
    assert all(isinstance(point.policy.bits["first"], tuple) for point in front.points)


def test_weights_whose_channels_differ_have_steps_per_channel() -> None:
    spread = 2.0 ** -np.arange(16, dtype=np.float32)
    weights = {"first": random(8, 16, seed=1) * spread, "second": random(16, 3, seed=2)}
    weights["second"] /= spread[:, None]  # all hidden units count alike
    nodes = [
        node("MatMul", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("MatMul", ["b", "second"], ["y"]),
    ]
    model = load(model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 3]}, weights))
    task = task_of(model, random(24, 8, seed=5), random(12, 8, seed=6))
    front = search(task, points=0, granularities=("tensor", "channel"))
    check(front, task)
    assert any(p.policy.granularity["first"] == "channel" for p in front.points)


def test_the_size_of_the_file_can_be_minimised() -> None:
    task = mlp_task()
    check(search(task, points=0, in_file=True), task, in_file=True)


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
    check(search(task, points=0), task)


def test_a_search_without_time_has_the_uniform_widths() -> None:
    task = mlp_task(deadline=Deadline(0))
    front = search(task)
    check(front, task)
    assert front.stopped == "time"
    assert front.evaluations == 0
    assert any("have a shorter reconstruction" in note for note in front.notes)
    assert front.notes[0].startswith("where widths were compared: to save time, of 2 layers")
    assert all(point in front.uniform for point in (*front.points, *front.greedy))


class Interrupting:
    """A progress whose stage is interrupted at a step."""

    def __init__(self, stage: str, step: int) -> None:
        self.stage, self.left = stage, step
        self.stages: list[str] = []

    def __call__(self, stage: str, total: float) -> "Interrupting":
        self.stages.append(stage)
        return self

    def __enter__(self) -> Any:
        return self.step

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, _: float, **where: Any) -> None:
        if self.stages[-1] == self.stage:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize(("stage", "step"), [("evolving", 2), ("building", 7)])
def test_an_interrupt_keeps_the_points_that_are_built(stage: str, step: int) -> None:
    task = mlp_task(progress=Interrupting(stage, step))
    front = search(task, points=0)
    check(front, task)
    assert front.stopped == "interrupt"


@pytest.mark.parametrize("stage", ["variants", "sensitivity", "building"])
def test_an_interrupt_before_the_uniform_points_are_built_is_passed_on(stage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(mlp_task(progress=Interrupting(stage, 1)))


def test_the_stages_of_a_search_are_shown_in_turn() -> None:
    progress = Interrupting("none", 1)
    search(mlp_task(progress=progress), points=0)
    assert progress.stages == [
        "variants", "sensitivity", "building", "building", "compensation", "evolving", "building",
    ]  # fmt: skip


def test_an_interrupt_in_the_first_generation_leaves_the_points_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(LayerTable, "values", interrupted)
    task = mlp_task()
    front = search(task, points=0)
    check(front, task)
    assert (front.stopped, front.evaluations) == ("interrupt", 0)


def test_a_point_whose_error_is_no_number_is_not_on_the_front(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = point.build_point

    def build_point(*given: Any) -> ParetoPoint:
        built, policy = real(*given), given[1]
        return replace(built, search=np.nan) if policy.bits["first"] == 2 else built

    monkeypatch.setattr(point, "build_point", build_point)
    front = search(mlp_task(), points=0)
    assert len(front.uniform) == 7
    assert not any(np.isnan(point.search) for point in front.points)


def test_the_sizes_between_are_a_geometric_progression() -> None:
    assert sizes_between([100, 800], 2) == pytest.approx([200, 400])
    assert sizes_between([100, 800], 0) == []


def test_sizes_that_nearly_equal_a_uniform_one_are_left_out() -> None:
    assert sizes_between([100, 192, 800], 2) == pytest.approx([400])
    assert sizes_between([100, 209, 800], 2) == pytest.approx([400])
    assert sizes_between([100, 190, 800], 2) == pytest.approx([200, 400])
    assert sizes_between([100, 211, 800], 2) == pytest.approx([200, 400])


def test_the_points_that_no_other_beats_are_sorted_by_size() -> None:
    large, small, beaten, tied = (
        ParetoPoint(Policy({}), size, 100 - size, error, 0.0, 0.0, 0.0)
        for size, error in [(30, 1.0), (10, 3.0), (20, 3.0), (10, 3.0)]
    )
    found = pareto_points([large, small, beaten, tied], float, in_file=False)
    assert found == (small, tied, large)
    assert pareto_points([large, small, beaten], lambda value: -value, True) == (large, beaten)
