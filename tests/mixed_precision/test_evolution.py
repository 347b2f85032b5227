"""The evolution of genomes over size and output error."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, stepping_into, task_of
from searches import shorten

from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision import evolution
from onnx_evoq.mixed_precision.evolution import Evolution, evolve_widths
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.search_space import SearchSpaceOptions
from onnx_evoq.model import load, replace_weights
from onnx_evoq.run import Deadline
from onnx_evoq.search.pareto import dominates
from onnx_evoq.setup import Task, model_value

Tabulated = Callable[..., tuple[Task, LayerTable]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evolution of a few generations."""
    shorten(monkeypatch, generations=3)


def run(task: Task, table: LayerTable, factor: float = 1.0, seed: int = 0) -> Evolution:
    compensated = replace(table, sensitivity=factor * table.sensitivity)
    initial = [table.space.uniform(bits) for bits in (2, 4, 8)]
    return evolve_widths(task, table, compensated, initial, np.random.default_rng(seed))


def error_of(task: Task, table: LayerTable, genome: Any, metric: str) -> float:
    values = table.values(table.space.decode(genome))
    scoring = task.search_set.scored_by(find_metric(metric))
    return model_value(replace_weights(table.layers.model, values), scoring)


def test_the_best_genome_within_a_limit_has_the_least_error() -> None:
    genomes = [np.array([k]) for k in range(4)]
    found = Evolution(genomes, [10, 20, 20, 30], [4.0, 2.0, 2.0, 1.0])
    assert [int(g[0]) for g in found.best_within([9, 10, 29, 30])] == [0, 1, 3]
    assert Evolution().best_within([10]) == []


def test_the_front_has_the_sizes_and_errors_of_its_genomes(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    found = run(task, table)
    space = table.space
    assert list(found.sizes) == sorted(found.sizes)
    assert [space.size(space.decode(genome)) for genome in found.genomes] == found.sizes
    for genome, error in zip(found.genomes, found.errors, strict=True):
        assert error == pytest.approx(error_of(task, table, genome, "nmse"), rel=1e-4)
    assert found.stopped is None


def test_the_front_is_not_behind_the_initial_genomes(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    found = run(task, table)
    front = np.array([found.sizes, found.errors]).T
    assert not dominates(front[:, None], front).any()
    for bits in (2, 4, 8):
        genome = table.space.uniform(bits)
        error = error_of(task, table, genome, "nmse")
        objectives = [table.space.size(table.space.decode(genome)), error * (1 + 1e-3)]
        assert not dominates(objectives, front).any()


def test_each_generation_scores_as_many_as_the_population(tabulated: Tabulated) -> None:
    assert run(*tabulated("mlp")).evaluations == 3 * 8


def test_errors_are_corrected_by_what_compensation_leaves(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    one, other = run(task, table), run(task, table, factor=0.25)
    assert other.sizes == one.sizes
    assert other.errors == pytest.approx([0.25 * error for error in one.errors])


def test_any_metric_against_the_reference_is_searched_as_nmse(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    other = replace(task, search_set=task.search_set.scored_by(find_metric("sqnr")))
    assert run(other, table).errors == run(task, table).errors


def test_a_metric_of_labels_is_taken_as_it_is(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    labels = np.concatenate([r["logits"].argmax(1) for r in task.search_set.criterion.reference])
    criterion = replace(task.search_set.criterion, metric=find_metric("top1"), labels=labels)
    task = replace(task, search_set=replace(task.search_set, criterion=criterion))
    found = run(task, table, factor=0.25)
    for genome, error in zip(found.genomes, found.errors, strict=True):
        assert error == pytest.approx(-error_of(task, table, genome, "top1"))
    assert min(found.errors) < -0.9


def test_the_most_promising_children_are_scored(
    tabulated: Tabulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, table = tabulated("mlp")
    scored: list[float] = []
    real = LayerTable.values

    def values(self: LayerTable, choice: Any) -> Any:
        scored.append(self.predicted_error(choice))
        return real(self, choice)

    monkeypatch.setattr(LayerTable, "values", values)
    medians = []
    for children in (1, 16):
        scored.clear()
        monkeypatch.setattr(evolution, "_CHILDREN", children)
        run(task, table)
        medians.append(np.median(scored[8:]))
    assert medians[1] < medians[0]


def test_the_same_seed_evolves_the_same_front(tabulated: Tabulated) -> None:
    one, two, other = (run(*tabulated("mlp"), seed=seed) for seed in (1, 1, 2))
    assert (one.sizes, one.errors) == (two.sizes, two.errors)
    assert (one.sizes, one.errors) != (other.sizes, other.errors)


def test_it_ends_when_all_genomes_are_scored() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)}))
    x = random(8, 4)
    task = task_of(model, x, x[:4])
    table = build_layer_table(task, np.random.default_rng(0), SearchSpaceOptions())
    found = run(task, table)
    assert found.evaluations == 7  # one gene for a width
    assert found.stopped is None


class Ticking:
    """A progress during which each step takes a second, or an interrupt comes."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.now, self.interrupt_at = 0.0, interrupt_at

    def __call__(self, label: str, total: float) -> "Ticking":
        assert (label, total) == ("evolving", 3)
        return self

    def __enter__(self) -> Any:
        return self.step

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, amount: float, **where: Any) -> None:
        self.now += amount
        if self.now == self.interrupt_at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("seconds", "generations", "stopped"),
    [(0.0, 0, "time"), (1.0, 1, "time"), (1.6, 1, "time"), (1.7, 2, "time"), (3.4, 3, None)],
)
def test_no_generation_but_the_first_begins_after_six_tenths_of_the_time(
    tabulated: Tabulated, seconds: float, generations: int, stopped: str | None
) -> None:
    task, table = tabulated("mlp")
    clock = Ticking()
    deadline = Deadline(seconds, lambda: clock.now)
    found = run(replace(task, deadline=deadline, progress=clock), table)
    assert found.evaluations == 8 * generations
    assert found.stopped == stopped


def test_each_generation_says_the_least_error_so_far(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    steps: list[Any] = []
    found = run(replace(task, progress=stepping_into(steps, "best", "evaluations")), table)
    assert [step[2] for step in steps] == [8, 16, 24]
    assert steps[0][1] >= steps[-1][1] == min(found.errors)


def test_an_interrupt_keeps_the_generations_before_it(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    found = run(replace(task, progress=Ticking(interrupt_at=2)), table)
    assert found.stopped == "interrupt"
    assert found.evaluations == 2 * 8
    assert len(found.genomes) == len(found.sizes) > 0


def test_an_interrupt_in_the_first_generation_leaves_no_front(
    tabulated: Tabulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(LayerTable, "values", interrupted)
    found = run(*tabulated("mlp"))
    assert (found.genomes, found.sizes, found.errors) == ([], [], [])
    assert (found.stopped, found.evaluations) == ("interrupt", 0)
