"""Several layers at all widths, side by side.

A layer is quantized in several *ways*, one for each granularity and for each share of its channels
that is split. They do not depend on each other. So the ways of a few layers are worked on together,
as many as keep all workers busy while the moments of these layers fit into memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.executors import HERE, Executor, Memory, Reference, Task
from onnx_evoq.mixed_precision.layer_table.kept_variants import AllVariants
from onnx_evoq.mixed_precision.search_space import SPLIT_SHARES
from onnx_evoq.quantize import (
    Effort,
    GridSpec,
    LayerAtWidth,
    Linear,
    Moments,
    quantize_at_widths,
)
from onnx_evoq.reconstruct import Plan

_SECONDS_AT_ONCE = 2.0  # of work for each worker
_BYTES_AT_ONCE = 2**28  # of moments
_COPIES = 4  # of H that a way takes
_BYTES_OF_THREADS = 2**30  # of these copies
# Of fewer rows, threads wait for Python's lock as long as they work side by side.
_ROWS_FOR_THREADS = 1024
_SECONDS_OF_TASK = 0.25
_TASKS_OF_WORKER = 4  # or more, so that all workers end at about the same time
_SECONDS_PER_BYTE, _SECONDS_PER_TASK = 1e-8, 0.02  # for sending them


@dataclass(frozen=True)
class Way:
    """How a layer is quantized at all widths.

    Attributes:
        specs: bits, axis, scale and type for each width.
        split: columns of the layer's matrix that are split.
    """

    specs: Sequence[GridSpec]
    split: Sequence[int]


@dataclass(frozen=True, eq=False)
class _Shared:
    """What all ways of a layer share.

    Attributes:
        values: the float weight.
        linear: how it becomes a matrix.
        moments: of the layer's columns and targets, without those of both.
        descends: whether codes are improved after GPTQ rounding.
    """

    values: Float32Array
    linear: Linear
    moments: Moments
    descends: bool


@dataclass(frozen=True, eq=False)
class LayerInWays:
    """A layer, and all ways in which it is quantized.

    Attributes:
        shared: what the ways share.
        ways: of each granularity, those of each split share.
        seconds: about how long one of them takes, on one core.
    """

    shared: _Shared
    ways: Sequence[Sequence[Way]]
    seconds: float

    @classmethod
    def of(
        cls,
        values: Float32Array,
        linear: Linear,
        moments: Moments,
        ways: Sequence[Sequence[Way]],
        *,
        descends: bool,
        seconds: float,
    ) -> "LayerInWays":
        """A layer.

        Args:
            values: the float weight.
            linear: how it becomes a matrix.
            moments: second moments of the layer's columns and targets in the float model.
            ways: of each granularity, those of each split share.
            descends: whether codes are improved after GPTQ rounding.
            seconds: about how long one way takes, on one core.
        """
        read = replace(moments, cross=np.empty((0, 0, 0)))  # C is not: W* is W
        return cls(_Shared(values, linear, read, descends), ways, seconds)

    @property
    def all_ways(self) -> list[Way]:
        """Those of all granularities."""
        return [way for some in self.ways for way in some]

    @property
    def all_seconds(self) -> float:
        """About how long all ways take, on one core."""
        return self.seconds * len(self.all_ways)

    @property
    def rows(self) -> int:
        """Those of all groups."""
        return self.shared.moments.t_mean.size

    @property
    def bytes(self) -> int:
        """Those of H."""
        return self.shared.moments.hessian.nbytes


class LayersTogether:
    """Quantizes one layer after the other, several of them at a time.

    Layers that wait together have one effort. Where time is short, none waits for another, as the
    effort for the next one depends on how long it took.

    Args:
        plan: chooses the effort.
        best: the most effort that any layer gets.
        executor: does the work; it does not change the result.
    """

    def __init__(self, plan: Plan, best: Effort, executor: Executor) -> None:
        self._plan, self._best, self._executor = plan, best, executor
        self._effort: Effort | None = None  # of those that wait
        self._taken = 0  # layers that wait, and those among them that turned out to have no ways
        self._waiting: list[tuple[LayerInWays, Callable[[AllVariants], None]]] = []

    def effort(self) -> Effort | None:
        """The effort for the next layer; None for nearest rounding."""
        if not self._taken:
            self._effort = self._plan.effort()
        return self._effort

    def add(self, layer: LayerInWays, take_in: Callable[[AllVariants], None]) -> None:
        """Let a layer wait.

        Args:
            layer: the next one.
            take_in: is called with its variants later on, in the order of the layers.
        """
        self._waiting.append((layer, take_in))

    def taken(self) -> None:
        """Take in that the next layer waits, or has no ways; quantize those that are enough."""
        self._taken += 1
        layers = [layer for layer, _ in self._waiting]
        if self._effort != self._best or _are_enough(layers, self._executor):
            self.quantize()

    def quantize(self) -> None:
        """Quantize the layers that wait."""
        found = quantize_in_ways([layer for layer, _ in self._waiting], self._executor)
        for (_, take_in), variants in zip(self._waiting, found, strict=True):
            take_in(variants)
        if self._taken:
            self._plan.done(self._effort, layers=self._taken)
        self._waiting, self._taken = [], 0


@dataclass(frozen=True, eq=False)
class _Work:
    """A way of a layer."""

    layer: Reference[_Shared]
    way: Way


def quantize_in_ways(layers: Sequence[LayerInWays], executor: Executor) -> Iterator[AllVariants]:
    """Each layer in all of its ways, at each width: [granularity][split share][width].

    Args:
        layers: to be quantized.
        executor: does the work; it does not change the result.
    """
    executor, seconds = _who(layers, executor)

    def tasks() -> Iterator[Task[list[_Work]]]:
        some, of_some = list[_Work](), 0.0
        for number, each in enumerate(layers):
            layer = executor.hold(each.shared)
            for way in each.all_ways:
                some.append(_Work(layer, way))
                of_some += each.seconds
                if of_some >= seconds:
                    yield Task(some, home=number)
                    some, of_some = [], 0.0
        if some:
            yield Task(some)

    found = (each for some in executor.map(_quantized, tasks()) for each in some)
    for each in layers:
        yield [
            [next(found) for _ in of_granularity] * (len(SPLIT_SHARES) // len(of_granularity))
            for of_granularity in each.ways
        ]


def _are_enough(layers: Sequence[LayerInWays], executor: Executor) -> bool:
    """Whether layers keep all workers busy, or take as much memory as they may."""
    workers = max(executor.workers, executor.near.workers)
    seconds = sum(each.all_seconds for each in layers)
    return (
        seconds >= _SECONDS_AT_ONCE * workers
        or sum(each.bytes for each in layers) >= _BYTES_AT_ONCE
    )


def _who(layers: Sequence[LayerInWays], executor: Executor) -> tuple[Executor, float]:
    """Who does the work on layers, and how many seconds of it make a task."""
    near = _near(layers, executor)
    if executor is executor.near:
        return near, 0.0
    seconds = sum(each.all_seconds for each in layers)
    sent = sum(each.bytes + each.shared.values.nbytes for each in layers)
    here, there = (seconds / each.workers for each in (near, executor))
    of_task = min(_SECONDS_OF_TASK, there / _TASKS_OF_WORKER)
    tasks = seconds / of_task if of_task else 0
    if there + _SECONDS_PER_BYTE * sent + _SECONDS_PER_TASK * tasks < here:
        return executor, of_task
    return near, 0.0


def _near(layers: Sequence[LayerInWays], executor: Executor) -> Executor:
    """Threads, if they do most of the work sooner, and their copies fit into memory."""
    by_rows = [
        each.all_seconds if each.rows >= _ROWS_FOR_THREADS else -each.all_seconds for each in layers
    ]
    copies = _COPIES * max((each.bytes for each in layers), default=0)
    fits = executor.near.workers * copies <= _BYTES_OF_THREADS
    return executor.near if fits and sum(by_rows) > 0 else HERE


def _quantized(memory: Memory, some: list[_Work]) -> list[list[LayerAtWidth]]:
    """Some ways of layers, at each width."""
    found = []
    for work in some:
        layer = memory.value(work.layer)
        found.append(
            quantize_at_widths(
                layer.values, layer.linear, layer.moments, work.way.specs, work.way.split,
                descends=layer.descends,
            )
        )  # fmt: skip
    return found
