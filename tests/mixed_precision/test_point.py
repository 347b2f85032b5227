"""A point is measured on the model that would be emitted."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from graphs import fire, mlp, proto, random, task_of

import onnx_evoq
from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision import Policy, point
from onnx_evoq.mixed_precision.point import ParetoPoint, PointBuilder, build_point
from onnx_evoq.mixed_precision.search_space import Part, Space
from onnx_evoq.model import load, serialize
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value

X = random(32, 4, seed=5)
WIDTHS = {"first": 4, "second": 3}


@pytest.fixture(scope="module")
def task() -> Task:
    return task_of(load(mlp()), X[:24], X[24:])


@pytest.fixture(scope="module")
def built(task: Task) -> tuple[ParetoPoint, Any]:
    """A point, and the model whose drop was measured."""
    measured = []
    built = build_point(task, Policy(WIDTHS), 3, lambda model: measured.append(model) or 1.5)
    return built, measured[0]


def test_a_point_has_its_policy_and_the_drop_of_its_model(built: tuple[ParetoPoint, Any]) -> None:
    assert built[0].policy == Policy(WIDTHS)
    assert built[0].drop == 1.5


def test_the_packed_bytes_are_those_of_codes_steps_and_biases(
    built: tuple[ParetoPoint, Any],
) -> None:
    assert built[0].packed_bytes == 12 + 7 + 2 + 36  # codes of 4 and 3 bits


def test_the_errors_are_those_of_the_model_on_both_sets(
    task: Task, built: tuple[ParetoPoint, Any]
) -> None:
    found, model = built
    assert found.search == pytest.approx(model_value(model, task.search_set))
    assert found.heldout == pytest.approx(model_value(model, task.heldout_set))
    nmse = model_value(model, task.search_set.scored_by(find_metric("nmse")))
    assert found.nmse == pytest.approx(nmse)
    assert found.search != found.heldout


def test_the_weights_are_on_their_grids(built: tuple[ParetoPoint, Any]) -> None:
    for weight in onnx_evoq.inspect(proto(built[1])).weights:
        ends = np.array([weight.low, weight.high]) * 2**4
        assert np.array_equal(ends, np.rint(ends))


def test_the_bytes_of_the_file_are_an_upper_bound(
    task: Task, built: tuple[ParetoPoint, Any]
) -> None:
    result = onnx_evoq.optimize(mlp(), X, policy=Policy(WIDTHS), strategy="none")
    assert 0 <= built[0].file_bytes - len(serialize(result.model)) < 300


def test_more_bits_are_larger_and_better(task: Task, built: tuple[ParetoPoint, Any]) -> None:
    narrow, wide = (
        build_point(task, Policy(dict.fromkeys(WIDTHS, bits)), 3, lambda _: 0.0) for bits in (2, 8)
    )
    for one, other in pairwise((narrow, built[0], wide)):
        assert one.packed_bytes < other.packed_bytes
        assert one.search > other.search


def test_the_same_seed_gives_the_same_point(task: Task, built: tuple[ParetoPoint, Any]) -> None:
    assert build_point(task, Policy(WIDTHS), 3, lambda _: 1.5) == built[0]


def test_channels_are_split() -> None:
    model, x = load(fire()), random(12, 2, 6, 6)
    task = task_of(model, x, x[:4])
    bits = dict.fromkeys(["squeeze", "one", "three", "last"], 4)
    plain = build_point(task, Policy(bits), 0, lambda _: 0.0)
    split = build_point(task, Policy(bits, {"squeeze": 1 / 9}), 0, lambda _: 0.0)
    # A tenth channel of squeeze, with a bias, and a column for it in both that read it.
    added = (10 * 2 - 9 * 2) // 2 + 4 + 5 // 2 + 17 * 9 // 2
    assert split.packed_bytes - plain.packed_bytes == pytest.approx(added, abs=2)


def test_a_point_has_a_size_in_the_file_and_a_packed_one() -> None:
    one = ParetoPoint(Policy({}), 10, 20, 0.0, 0.0, 0.0, 0.0)
    assert (one.bytes(False), one.bytes(True)) == (10, 20)


def test_a_point_is_a_dictionary_for_json() -> None:
    one = ParetoPoint(
        Policy({"a": (2, 3)}, {"a": 0.5}, {"a": "channel"}), 10, 20, 0.25, 0.5, 1.0, 0.01
    )
    assert one.to_dict() == {
        "bits": {"a": [2, 3]}, "expansion": {"a": 0.5}, "granularity": {"a": "channel"},
        "packed_bytes": 10, "file_bytes": 20, "search": 0.25, "heldout": 0.5, "drop": 1.0,
        "nmse": 0.01,
    }  # fmt: skip


SPACE = Space((Part("w", None, 1, 1, (0, 0, 0), 0, -1, -1, (0, 0, 0)),), (), {}, 0)
GENOMES = [SPACE.uniform(bits) for bits in (2, 3, 4)]


class FakeBuild:
    """Stands for `build_point`: a point whose size is the width of its weight."""

    def __init__(self) -> None:
        self.policies: list[Policy] = []
        self.tasks: list[Task] = []
        self.scored: list[Any] = []
        self.seeds: list[int] = []

    def __call__(
        self, task: Task, policy: Policy, seed: int, drop: Any, scored: Any
    ) -> ParetoPoint:
        self.tasks.append(task)
        self.scored.append(scored)
        self.policies.append(policy)
        self.seeds.append(seed)
        return ParetoPoint(policy, policy.bits["w"], 0, 0.0, 0.0, drop(None), 0.0)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeBuild:
    fake = FakeBuild()
    monkeypatch.setattr(point, "build_point", fake)
    return fake


def sizes(points: list[ParetoPoint]) -> list[int]:
    return [point.packed_bytes for point in points]


def builder_of(task: Task, **options: Any) -> PointBuilder:
    return PointBuilder(replace(task, **options), SPACE, lambda _: 2.0, 7)


def test_each_genome_is_built_once(task: Task, fake: FakeBuild) -> None:
    builder = builder_of(task)
    builder.build([GENOMES[1], GENOMES[0], GENOMES[1].copy()])
    builder.build(GENOMES)
    assert [policy.bits["w"] for policy in fake.policies] == [3, 2, 4]
    assert sizes(list(builder.points.values())) == [3, 2, 4]
    assert fake.seeds == [7] * 3
    assert {point.drop for point in builder.points.values()} == {2.0}


def test_built_points_are_found_by_their_genomes(task: Task, fake: FakeBuild) -> None:
    builder = builder_of(task)
    builder.build(GENOMES[:2])
    assert sizes(builder.built([GENOMES[2], GENOMES[1], GENOMES[0]])) == [3, 2]


def test_without_time_only_points_that_are_always_built_are_built(
    task: Task, fake: FakeBuild
) -> None:
    builder = builder_of(task, deadline=Deadline(0))
    builder.build(GENOMES[:1])
    assert builder.points == {}
    builder.build(GENOMES[1:], always=True)
    assert sizes(list(builder.points.values())) == [3, 4]


def test_progress_counts_the_points_that_are_missing(task: Task, fake: FakeBuild) -> None:
    shown: list[Any] = []

    class Shown:
        def __init__(self, label: str, total: float) -> None:
            shown.append((label, total))

        def __enter__(self) -> Any:
            return shown.append

        def __exit__(self, *_: object) -> None:
            pass

    builder = builder_of(task, progress=Shown)
    builder.build(GENOMES[:1])
    builder.build(GENOMES)
    assert shown == [("building", 1), 1, ("building", 2), 1, 1]


def test_an_interrupt_keeps_the_points_that_are_built(
    task: Task, fake: FakeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(task: Task, policy: Policy, *given: Any) -> ParetoPoint:
        if policy.bits["w"] == 3:
            raise KeyboardInterrupt
        return fake(task, policy, *given)

    monkeypatch.setattr(point, "build_point", interrupted)
    builder = builder_of(task)
    with pytest.raises(KeyboardInterrupt):
        builder.build(GENOMES)
    assert sizes(list(builder.points.values())) == [2]


def test_points_share_the_time_and_leave_some_for_their_scores(task: Task, fake: FakeBuild) -> None:
    timed = replace(task, seconds=0.01, deadline=Deadline(100))
    scored = task.search_set.first(8)
    builder = PointBuilder(timed, SPACE, lambda _: 2.0, 7, scored)
    builder.build(GENOMES, seconds=2.0)
    assert fake.scored == [scored] * 3
    runs = 8 + 2 * 8  # the drop is measured on the held-out set, too
    for own in fake.tasks:
        assert own.deadline.left == pytest.approx(2 - 0.01 * runs, abs=0.1)
    assert builder.skipped == 0


def test_a_point_that_takes_longer_than_the_time_left_is_not_built(
    task: Task, fake: FakeBuild
) -> None:
    builder = builder_of(task, deadline=Deadline(50))
    builder.mean = 60.0
    builder.build(GENOMES[:2])
    assert (builder.points, builder.skipped) == ({}, 2)
    builder.build(GENOMES, always=True)  # the first one in any case
    assert sizes(list(builder.points.values())) == [2, 3, 4]  # and none of these took long


def test_points_leave_the_time_that_is_reserved(task: Task, fake: FakeBuild) -> None:
    builder = builder_of(task, deadline=Deadline(50))
    builder.mean = 20.0
    builder.build(GENOMES[:1], reserve=35.0)
    assert (builder.points, builder.skipped) == ({}, 1)
    builder.build(GENOMES[:1], reserve=25.0)
    assert sizes(list(builder.points.values())) == [2]


class Refined:
    """Points of width 2 and 3 are hasty; built again, that of width 3 alone is better."""

    def __init__(self) -> None:
        self.widths: list[int] = []
        self.seconds: list[float] = []

    def __call__(self, task: Task, policy: Policy, *_: Any) -> ParetoPoint:
        width = policy.bits["w"]
        again = width in self.widths
        self.widths.append(width)
        self.seconds.append(task.deadline.left)
        search = {2: 5.0, 3: 1.0}[width] if again else 4.0
        return ParetoPoint(policy, width, 0, search, 0.0, 0.0, 0.0, "" if width == 4 else "cut")


@pytest.fixture
def refined(monkeypatch: pytest.MonkeyPatch) -> Refined:
    refined = Refined()
    monkeypatch.setattr(point, "build_point", refined)
    return refined


def test_hasty_points_are_built_again_and_the_better_ones_are_kept(
    task: Task, refined: Refined
) -> None:
    builder = builder_of(task, deadline=Deadline(60))
    builder.build(GENOMES, seconds=1.0)
    builder.refine(builder.built(GENOMES))
    assert refined.widths == [2, 3, 4, 2, 3]
    assert refined.seconds == pytest.approx([1, 1, 1, 30, 60], abs=0.5)
    assert [each.search for each in builder.built(GENOMES)] == [4.0, 1.0, 4.0]


def test_only_points_that_are_asked_for_are_built_again(task: Task, refined: Refined) -> None:
    builder = builder_of(task)
    builder.build(GENOMES)
    builder.refine(builder.built(GENOMES[1:]))
    assert refined.widths == [2, 3, 4, 3]


@pytest.mark.parametrize(("seconds", "again"), [(95.0, [2, 3]), (50.0, [2]), (30.0, [])])
def test_so_many_points_are_refined_that_each_has_twice_its_time(
    task: Task, refined: Refined, seconds: float, again: list[int]
) -> None:
    builder = builder_of(task, deadline=Deadline(seconds))
    builder.build(GENOMES)
    builder.mean = 20.0
    builder.refine(builder.built(GENOMES))
    assert refined.widths[3:] == again


def test_where_time_is_short_a_point_says_what_was_cut(task: Task) -> None:
    short = replace(task, deadline=Deadline(0), seconds=0.1)
    built = build_point(short, Policy(WIDTHS), 3, lambda _: 1.5, task.search_set.first(1))
    assert built.cut == "to save time, of 2 layers 2 are rounded to the nearest codes."
    everything = build_point(short, Policy(WIDTHS), 3, lambda _: 1.5)
    assert built.search != everything.search  # which is of all samples
    assert built.heldout == everything.heldout
