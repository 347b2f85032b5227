"""Which batches go to which worker, and the order of the answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers

from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts.shards import Shards
from onnx_evoq.executors import Memory

BATCHES = [Batch({"x": np.array([k])}, 1, 1) for k in range(20)]  # ten shards of two


def numbers(memory: Memory, shards: Sequence[range]) -> list[list[int]]:
    return [list(shard) for shard in shards]


def asked(shards: Shards, batches: range, at_once: int | None = None) -> list[list[int]]:
    return list(shards.map(numbers, list, batches, at_once))


def test_shards_that_follow_each_other_are_with_different_workers(far: FarWorkers) -> None:
    shards = Shards(BATCHES, far, 2)
    assert asked(shards, range(8)) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [list(map(list, each)) for each in far.asked] == [[[0, 1]], [[2, 3]], [[4, 5]], [[6, 7]]]
    assert sorted(far.homes.values()) == [0, 1, 2, 3]


def test_answers_come_in_the_order_of_the_shards(far: FarWorkers) -> None:
    found = asked(Shards(BATCHES, far, 2), range(20))
    assert found == [[k, k + 1] for k in range(0, 20, 2)]
    assert len(far.asked) == 4  # a task for each home


def test_a_worker_that_joins_gets_shards() -> None:
    some = FarWorkers(1)
    shards = Shards(BATCHES, some, 2)
    asked(shards, range(20))
    assert len(some.asked) == 2
    some.memories += [FarWorkers(1).memories[0] for _ in range(3)]
    asked(shards, range(20))
    assert len(some.asked) == 2 + 8


def test_a_range_may_begin_and_end_within_a_shard(far: FarWorkers) -> None:
    shards = Shards(BATCHES, far, 2)
    assert asked(shards, range(3, 7)) == [[3], [4, 5], [6]]
    homes = dict(far.homes)
    asked(shards, range(8))
    assert homes.items() <= far.homes.items()  # the rest of a shard goes to the same worker


@pytest.mark.parametrize(("at_once", "tasks"), [(1, 10), (4, 4 + 4 + 2), (8, 4 + 2)])
def test_few_shards_are_asked_for_at_a_time(far: FarWorkers, at_once: int, tasks: int) -> None:
    found: list[Any] = asked(Shards(BATCHES, far, 2), range(20), at_once)
    assert found == [[k, k + 1] for k in range(0, 20, 2)]
    assert len(far.asked) == tasks


@pytest.mark.parametrize(
    ("first", "end", "most", "spans"),
    [
        (0, 6, 9, [(0, 2), (2, 4), (4, 6)]),
        (1, 5, None, [(1, 2), (2, 4), (4, 5)]),
        (0, 4, 1, [(0, 1), (1, 2), (2, 3), (3, 4)]),
        (3, 3, 9, []),
    ],
)
def test_spans_lie_within_shards(
    far: FarWorkers, first: int, end: int, most: int | None, spans: list[tuple[int, int]]
) -> None:
    found = Shards(BATCHES, far, 2).spans(first, end, most)
    assert [(span.start, span.stop) for span in found] == spans


def test_batches_of_a_shard_have_one_home(far: FarWorkers) -> None:
    homes = [Shards(BATCHES, far, 2).home(index) for index in range(20)]
    assert homes[::2] == homes[1::2]
    assert len(set(homes[:8])) == 4  # two for each worker
    assert homes[8:16] == homes[:8]
