"""The search for the front between size and error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, recurrent, task_of

from onnx_evoq.model import Model, fold_batch_norm, load
from onnx_evoq.run import Deadline
from onnx_evoq.search.pareto import dominates
from onnx_evoq.stages import Policy, Resources, hypervolumes, mixing, search_front
from onnx_evoq.stages.candidates import find_candidates
from onnx_evoq.stages.mixing import Front, at_sizes, greedy_path
from onnx_evoq.stages.rebuilding import Point
from onnx_evoq.stages.task import Task

SEARCH, HELDOUT = random(24, 4, seed=5), random(12, 4, seed=6)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of a few generations."""
    monkeypatch.setattr(mixing, "_POPULATION", 16)
    monkeypatch.setattr(mixing, "_GENERATIONS", 4)


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


def searched(task: Task, seed: int = 0, **options: Any) -> Front:
    options = {"points": 3, **options}
    return search_front(task, lambda _: 0.0, np.random.default_rng(seed), **options)


def objectives(points: tuple[Point, ...], task: Task, in_file: bool = False) -> np.ndarray:
    fitness = task.search_set.target.metric.fitness
    rows = [(p.file_bytes if in_file else p.packed_bytes, fitness(p.search)) for p in points]
    return np.array(rows, np.float64).reshape(-1, 2)


def check(front: Front, task: Task, in_file: bool = False) -> None:
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
    assert front.greedy[-1] == front.uniform[-1]
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
    fronts = [
        searched(
            task_of(wide_net(), SEARCH, HELDOUT, resources=Resources(workers=n), **options),
            groups=groups,
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
    front = searched(task, groups=True)
    check(front, task)
    mixed = [p.policy.bits["first"] for p in front.points if p not in front.uniform]
    assert any(len(set(bits)) > 1 for bits in mixed)
    assert all(point.policy.per_channel for point in front.points)


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

    monkeypatch.setattr(mixing.Candidates, "values", interrupted)
    task = mlp_task()
    front = searched(task)
    check(front, task)
    assert (front.stopped, front.evaluations) == ("interrupt", 0)


@pytest.mark.parametrize("stage", ["candidates", "sensitivity", "building"])
def test_an_interrupt_before_there_is_anything_to_keep_goes_on(stage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        searched(mlp_task(progress=Interrupting(stage, 1)))


def test_a_point_whose_error_is_no_number_is_not_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mixing.rebuild

    def rebuild(task: Task, policy: Policy, seed: int, drop: Any) -> Point:
        point = real(task, policy, seed, drop)
        return replace(point, search=np.nan) if policy.bits["first"] == 2 else point

    monkeypatch.setattr(mixing, "rebuild", rebuild)
    front = searched(mlp_task())
    assert len(front.uniform) == 7
    assert not any(np.isnan(point.search) for point in front.points)


# Greedy choices


def test_the_greedy_path_goes_from_8_bits_to_2_step_by_step() -> None:
    found = find_candidates(mlp_task(), np.random.default_rng(0), True, False, False)
    path = np.array(greedy_path(found))
    np.testing.assert_array_equal(path[0], found.space.uniform(8))
    np.testing.assert_array_equal(path[-1], found.space.uniform(2))
    assert (np.diff(path.sum(axis=1)) == -1).all()


def test_the_greedy_path_takes_what_harms_least_for_its_bytes() -> None:
    found = find_candidates(mlp_task(), np.random.default_rng(0), True, False, False)
    harm = np.zeros((2, 7))
    harm[0, :6] = 24  # 24 codes: a harm of 1 for each
    harm[1, :6] = 36  # 18 codes: 2 for each
    assert greedy_path(replace(found, harm=harm))[1].tolist() == [5, 6, 0]
    harm[1, :6] = 9
    assert greedy_path(replace(found, harm=harm))[1].tolist() == [6, 5, 0]


def test_at_sizes_finds_the_largest_that_fits() -> None:
    genomes = [np.array([k]) for k in range(4)]
    assert at_sizes(genomes, [1, 2, 3, 4], [2.5, 0.5, 9]) == [genomes[1], genomes[3]]
    assert at_sizes(genomes, [1, 2, 3, 4], [3.1, 3.2]) == [genomes[2]]
    assert at_sizes([], [], [3.1]) == []


# Hypervolumes


def point(size: int, error: float) -> Point:
    return Point(Policy({}), size, 2 * size, error, error, 0.0, error)


def front_of(points: list[Point], uniform: list[Point], greedy: list[Point] | None = None) -> Front:
    return Front(tuple(points), tuple(uniform), tuple(greedy or ()), 0, None)


UNIFORM = [point(1, 100.0), point(10, 10.0), point(100, 1.0)]


def test_hypervolumes_worked_by_hand() -> None:
    # As shares of the logarithms' ranges: (0, 1), (.5, .5) and (1, 0); the front's is (.5, 0).
    found = hypervolumes(front_of([point(10, 1.0)], UNIFORM, [point(10, 31.622777)]), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0.125})


def test_by_file_the_shares_are_the_same_here() -> None:
    front = front_of([point(10, 1.0)], UNIFORM)
    assert hypervolumes(front, float, True) == pytest.approx(hypervolumes(front, float))


def test_a_better_error_than_any_width_makes_the_box_larger() -> None:
    found = hypervolumes(front_of([point(10, 0.01)], UNIFORM), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.125, "greedy": 0})


@pytest.mark.parametrize("least", [0.0, -5.0])
def test_errors_that_have_no_logarithm_are_taken_as_they_are(least: float) -> None:
    uniform = [point(1, least + 8), point(10, least + 4), point(100, least)]
    found = hypervolumes(front_of([point(10, least)], uniform), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0})


def test_points_without_a_finite_error_dominate_nothing() -> None:
    uniform = [*UNIFORM, point(1, np.nan), point(1000, -np.inf)]
    found = hypervolumes(front_of([point(10, 1.0), point(2, np.inf)], uniform), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0})


def test_without_any_finite_error_there_is_no_box() -> None:
    found = hypervolumes(front_of([point(10, 1.0)], [point(1, np.nan)]), float)
    assert np.isnan(list(found.values())).all()


def test_a_metric_that_is_higher_where_better_counts_the_other_way() -> None:
    uniform = [point(1, 10.0), point(10, 20.0), point(100, 30.0)]
    found = hypervolumes(front_of([point(10, 30.0)], uniform), lambda value: -value)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0})
