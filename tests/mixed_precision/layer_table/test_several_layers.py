"""Several layers at all widths: the same wherever they are quantized."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers
from layer_problems import DENSE

from onnx_evoq.executors import HERE, Executor
from onnx_evoq.executors.tasks.threads import Threads
from onnx_evoq.mixed_precision.layer_table import several_layers as module
from onnx_evoq.mixed_precision.layer_table.several_layers import (
    LayerInWays,
    LayersTogether,
    Way,
    quantize_in_ways,
)
from onnx_evoq.mixed_precision.search_space import SPLIT_SHARES
from onnx_evoq.quantize import Effort, GridSpec, quantize_at_widths
from onnx_evoq.quantize.moments import MomentSums
from onnx_evoq.reconstruct import LayerSize, Plan
from onnx_evoq.run import Deadline

SPECS = [[GridSpec(bits, axis) for bits in (2, 4)] for axis in (None, 0)]  # (rows, columns)
SPLITS: list[list[int]] = [[], [1], [1, 4]]
FULL, SHORT = Effort(), Effort(descends=False)


def layer(
    number: int, splits: Sequence[Sequence[int]] = SPLITS, seconds: float = 1.0, rows: int = 5
) -> LayerInWays:
    """A layer of six columns, in two granularities."""
    rng = np.random.default_rng(number)
    weight = rng.standard_normal((rows, 6)).astype(np.float32)
    x = rng.standard_normal((1, 40, 6)).astype(np.float32) + 1
    sums = MomentSums(centred=True)
    sums.add(x, x @ weight.T)
    ways = [[Way(specs, split) for split in splits] for specs in SPECS]
    return LayerInWays.of(
        weight, DENSE, sums.moments(), ways, descends=number % 2 == 0, seconds=seconds
    )


LAYERS = [layer(0), layer(1, [[]]), layer(2)]


@pytest.fixture(autouse=True)
def free_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_PER_BYTE", 0.0)
    monkeypatch.setattr(module, "_SECONDS_PER_TASK", 0.0)


def arrays(found: Any) -> list[Any]:
    """All arrays of variants, in order."""
    return [
        getattr(variant, name)
        for of_layer in found
        for granularity in of_layer
        for share in granularity
        for variant in share
        for name in ("values", "bias", "costs")
    ]


def test_each_way_of_each_layer_is_quantized_at_each_width(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = []
    for each in LAYERS:
        shared, repeats = each.shared, len(SPLIT_SHARES) // len(each.ways[0])
        expected.append(
            [
                [
                    quantize_at_widths(
                        shared.values, DENSE, shared.moments, way.specs, way.split,
                        descends=shared.descends,
                    )
                    for way in of_granularity
                ] * repeats
                for of_granularity in each.ways
            ]
        )  # fmt: skip
    monkeypatch.setattr(module, "_ROWS_FOR_THREADS", 1)
    executors: list[Executor] = [HERE, Threads(3), far]
    for executor in executors:
        found = list(quantize_in_ways(LAYERS, executor))
        assert np.shape([[len(share) for share in own] for own in found]) == (3, 2)
        for one, other in zip(arrays(found), arrays(expected), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert len(far.asked) == 2 * 3 + 2 + 2 * 3


def test_a_layer_goes_once_to_one_worker(far: FarWorkers) -> None:
    list(quantize_in_ways(LAYERS, far))
    assert list(far.homes) == [0, 1, 2]
    assert list(far.sent.values()) == [1, 1, 1]
    assert far.asked[0][0].layer.here[0].moments.cross.size == 0  # which is large, and not read


def test_little_layers_share_a_task(far: FarWorkers) -> None:
    layers = [layer(k, [[]], seconds=1 / 128) for k in range(40)]
    list(quantize_in_ways(layers, far))
    # 80 ways, of which each worker gets four tasks.
    assert [len(some) for some in far.asked] == [10] * 8
    alone = [layer(k, [[]], seconds=1 / 16) for k in range(41)]
    far.asked.clear()
    list(quantize_in_ways(alone, far))
    assert [len(some) for some in far.asked] == [4] * 20 + [2]  # of 0.25 s


@pytest.mark.parametrize("name", ["_SECONDS_PER_BYTE", "_SECONDS_PER_TASK"])
def test_workers_help_where_that_pays(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sent = sum(each.bytes + each.shared.values.nbytes for each in LAYERS)
    number = sent if name == "_SECONDS_PER_BYTE" else 14 / 0.25
    saved = 14.0 - 14.0 / 2
    monkeypatch.setattr(module, name, 1.01 * saved / number)
    list(quantize_in_ways(LAYERS, far))
    assert far.asked == []
    monkeypatch.setattr(module, name, 0.99 * saved / number)
    list(quantize_in_ways(LAYERS, far))
    assert len(far.asked) == 14


def test_threads_work_where_their_copies_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(3)
    monkeypatch.setattr(module, "_ROWS_FOR_THREADS", 5)
    copies = 3 * module._COPIES * 6 * 6 * 8
    monkeypatch.setattr(module, "_BYTES_OF_THREADS", copies)
    assert module._who(LAYERS, threads)[0] is threads
    monkeypatch.setattr(module, "_BYTES_OF_THREADS", copies - 1)
    assert module._who(LAYERS, threads)[0] is HERE


def test_threads_work_where_most_of_the_work_has_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(3)
    assert module._who(LAYERS, threads)[0] is HERE
    monkeypatch.setattr(module, "_ROWS_FOR_THREADS", 6)
    few = layer(0, [[]], seconds=1.0)
    for seconds, expected in ((0.9, HERE), (1.1, threads)):
        many = layer(1, [[]], seconds=seconds, rows=6)
        assert (many.rows, few.rows) == (6, 5)
        assert module._who([few, many], threads)[0] is expected


def test_nothing_is_quantized_where_nothing_waits(far: FarWorkers) -> None:
    assert list(quantize_in_ways([], far)) == []
    assert far.asked == []


class Together:
    """Layers that wait together, what was planned for them, and those that are quantized."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, efforts: list[Effort | None], executor: Executor
    ) -> None:
        given = iter(efforts)
        self.done: list[tuple[Effort | None, int]] = []
        self.names: list[str] = []
        monkeypatch.setattr(Plan, "effort", lambda _: next(given))
        monkeypatch.setattr(
            Plan, "done", lambda _, effort, layers: self.done.append((effort, layers))
        )
        plan = Plan([LayerSize(1, 2, 3)] * len(efforts), Deadline(None), FULL)
        self.layers = LayersTogether(plan, FULL, executor)

    def add(self, name: str, seconds: float) -> Effort | None:
        effort = self.layers.effort()
        one = layer(0, [[]], seconds)
        self.layers.add(one, lambda _: self.names.append(name))
        self.layers.taken()
        return effort


def test_layers_wait_until_they_are_enough_work_for_all_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = Together(monkeypatch, [FULL, FULL], Threads(2))
    assert together.add("a", 0.9) == FULL  # in two ways
    assert together.names == []
    together.layers.effort()
    together.layers.taken()  # a layer without ways, between the others
    assert together.add("b", 1.2) == FULL
    assert together.names == ["a", "b"]
    assert together.done == [(FULL, 3)]
    together.add("c", 0.1)
    assert together.names == ["a", "b"]
    together.layers.quantize()
    together.layers.quantize()
    assert together.names == ["a", "b", "c"]
    assert together.done == [(FULL, 3), (FULL, 1)]


def test_layers_are_enough_for_workers_and_for_threads() -> None:
    class ThreadsBeside(FarWorkers):
        near = Threads(3)

    for workers, seconds in ((2, 6.0), (4, 8.0)):
        executor = ThreadsBeside(workers)
        assert not module._are_enough([layer(0, [[]], 0.49 * seconds)], executor)  # in two ways
        assert module._are_enough([layer(0, [[]], 0.51 * seconds)], executor)


def test_layers_wait_no_longer_than_there_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 2 * 36 * 8)
    together = Together(monkeypatch, [FULL], Threads(2))
    together.add("a", 1e-3)
    assert together.names == []
    together.add("b", 1e-3)
    assert together.names == ["a", "b"]


def test_where_time_is_short_no_layer_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together(monkeypatch, [SHORT, None, FULL], HERE)
    assert together.add("a", 1e-3) == SHORT
    assert together.names == ["a"]
    assert together.layers.effort() is None
    together.layers.taken()
    assert together.done == [(SHORT, 1), (None, 1)]
    assert together.layers.effort() == FULL
