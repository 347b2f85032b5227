"""Scores of candidates that workers compute: each of them the samples that are with it.

A task names the model's part behind a cut, some batches, and what differs in some candidates. The
answer is the loss of each sample, or what is read of the outputs.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts.changes import Bases, Change
from onnx_evoq.engine.cuts.held_network import HeldNetwork
from onnx_evoq.engine.cuts.shards import Shards
from onnx_evoq.engine.cuts.stage import Stage, tensors_at
from onnx_evoq.executors import Executor, Memory, Reference, Task, TaskSize
from onnx_evoq.metrics import Criterion, Layouts, Metric
from onnx_evoq.score import BatchRun, ModelPart, Session
from onnx_evoq.setup import Resources, open_session

_SESSIONS = 3  # of parts behind a cut, which a worker keeps


@dataclass(frozen=True, eq=False)
class Behind:
    """The part of a model behind a cut, as workers know it.

    Attributes:
        part: the part, with the weights as inputs.
        label: names it in messages.
        resources: what the runs may use.
        unlike: names of outputs that may be any value, with rows of their own in each run.
    """

    part: HeldNetwork
    label: str
    resources: Resources
    unlike: frozenset[str]


@dataclass(frozen=True, eq=False)
class SentPart:
    """What stands for a `ModelPart` that is with the workers.

    Attributes:
        behind: the part behind the cut.
        stage: at which the tensors are that it reads; None for the model's inputs.
        dtypes: the types of the weights, by name.
        inputs: the names of the other inputs of the part.
        outputs: the names of all outputs of the model.
        metric: what scores them.
        layouts: of the outputs.
    """

    behind: Reference[Behind]
    stage: Reference[Stage] | None
    dtypes: Mapping[str, str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    metric: Metric
    layouts: Layouts | None


@dataclass(frozen=True, eq=False)
class Expected:
    """What the outputs of a batch are compared with."""

    reference: Arrays | None
    labels: Array | None


@dataclass(frozen=True, eq=False)
class _Asked:
    """Asks for the scores of some candidates on some batches.

    Attributes:
        part: what is run.
        batches: the samples, with what their outputs are compared with.
        candidates: the weights of each of them.
        read: is applied to the outputs; None for the losses.
    """

    part: Reference[SentPart]
    batches: tuple[tuple[Reference[Batch], Reference[Expected]], ...]
    candidates: tuple[dict[str, Change], ...]
    read: Reference[Callable[[Arrays], Any]] | None


def _score(memory: Memory, asked: _Asked) -> tuple[float, list[list[Any]]]:
    """The seconds that the scores took, and for each candidate its score on each batch."""
    began, part = time.perf_counter(), memory.value(asked.part)

    def opened() -> Session:
        value = memory.value(part.behind)
        network = value.part.network(memory)
        return open_session(network, value.resources, value.label, unlike=value.unlike)

    session = memory.made("session behind a cut", part.behind.key, opened, _SESSIONS)
    read = None if asked.read is None else memory.value(asked.read)
    found: list[list[Any]] = [[] for _ in asked.candidates]
    candidates = [
        {name: change.applied(memory) for name, change in each.items()} for each in asked.candidates
    ]
    for batch, expected in asked.batches:
        samples, target = memory.value(batch), memory.value(expected)
        known = {**samples.feed, **tensors_at(memory, part.stage, batch)}
        reference = None if target.reference is None else [target.reference]
        criterion = Criterion(part.metric, reference, target.labels, part.layouts)
        here = ModelPart(
            session, part.dtypes, part.inputs, part.outputs, [known], [samples], criterion
        )
        for scores, values in zip(found, candidates, strict=True):
            scores.append(BatchRun(here, values, 0, read)())
    return time.perf_counter() - began, found


class WorkersPool:
    """Does runs of a part of a model on workers, as `RunPool` does in this process.

    Args:
        executor: knows the workers.
        shards: which worker has which batches.
        start: the index of the first batch there.
        expected: what the outputs of each batch are compared with.
        part: stands for the part in the runs.
        bases: what the workers have of the weights.
    """

    def __init__(
        self,
        executor: Executor,
        shards: Shards,
        start: int,
        expected: Sequence[Reference[Expected]],
        part: SentPart,
        bases: Bases,
    ) -> None:
        self._executor, self._shards, self._start, self._expected = (
            executor,
            shards,
            start,
            expected,
        )
        self._part, self._bases = executor.hold(part), bases
        self._size = TaskSize()

    @property
    def at_once(self) -> int:
        """Candidates that should be given at a time: some for each worker."""
        return 4 * self._executor.workers

    def do(self, jobs: Sequence[Iterable[BatchRun]], kind: Hashable = None) -> list[list[Any]]:
        """Do all runs, and return the results of each job in the order of its runs.

        Args:
            jobs: the runs of each candidate, which are iterated a few candidates ahead.
            kind: as for `RunPool.do`; there is nothing to choose here.
        """
        results: list[list[Any]] = [[] for _ in jobs]
        sent: deque[tuple[range, list[int]]] = deque()  # the batches and candidates of each task
        for seconds, found in self._executor.map(_score, self._tasks(jobs, sent)):
            span, candidates = sent.popleft()
            self._size.took(len(span) * len(candidates), seconds)
            for job, scores in zip(candidates, found, strict=True):
                results[job] += scores
        return results

    def _tasks(
        self, jobs: Sequence[Iterable[BatchRun]], sent: deque[tuple[range, list[int]]]
    ) -> Iterator[Task[_Asked]]:
        """The tasks of some candidates after the other; for these, in the order of the batches.

        Args:
            jobs: the runs of each candidate.
            sent: takes the batches and the candidates of each task.
        """
        rest, left, shards = enumerate(jobs), len(jobs), self._shards
        for number, job in rest:
            runs = {number: list(job)}
            batches = len(runs[number])
            units = self._size.units(batches * left, self._executor.workers)
            runs |= {another: list(each) for another, each in islice(rest, min(units, left) - 1)}
            left -= len(runs)
            changes = {k: self._bases.changes(some[0].values) for k, some in runs.items() if some}
            if not changes:  # all are stopped
                continue
            first = next(iter(changes))
            begin, read = runs[first][0].index, runs[first][0].read
            held = None if read is None else self._executor.hold(read)
            end = max(runs[k][-1].index + 1 for k in changes)
            most = max(1, units // len(changes))
            for span in shards.spans(self._start + begin, self._start + end, most):
                of_set = range(span.start - self._start, span.stop - self._start)
                given = [k for k in changes if runs[k][-1].index >= of_set[-1]]
                if not given:
                    break
                sent.append((of_set, given))
                pairs = [(shards.batches[self._start + k], self._expected[k]) for k in of_set]
                asked = _Asked(self._part, tuple(pairs), tuple(changes[k] for k in given), held)
                yield Task(asked, shards.home(span[0]))
