"""Bring a model, samples and a metric together: score a whole model, or one weight's candidates."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.batch import Arrays, Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Cut, Model, cut_at, serialize, suffix, uncut
from onnx_evoq.score import Evaluator, Metric, Session, Target, TensorStore, predict
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True)
class ScoringSet:
    """Samples in batches, and what their outputs are scored against."""

    batches: Sequence[Batch]
    target: Target

    def scored_by(self, metric: Metric) -> "ScoringSet":
        """The same samples, scored by another metric."""
        return replace(self, target=replace(self.target, metric=metric))

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(batch.count for batch in self.batches)


def model_value(model: Model, scoring: ScoringSet, providers: Sequence[str] | None = None) -> float:
    """The metric of a whole model, in a fresh session."""
    session = Session(serialize(model), providers=providers)
    return scoring.target.value(predict(session, scoring.batches))


def layer_evaluators(
    model: Model,
    weight: str,
    sets: Sequence[ScoringSet],
    providers: Sequence[str] | None = None,
    memory: int | None = None,
) -> list[Evaluator]:
    """An evaluator per scoring set for one weight of `model`, all on one session.

    The graph is cut at the weight, and what crosses the cut is computed once and kept. Where that
    is no tensor that NumPy knows (a sequence, bfloat16), each candidate runs the whole model.

    Args:
        model: the model.
        weight: the name of the weight.
        sets: the samples that score.
        providers: as for `Session`.
        memory: bytes that may be held in memory of what crosses the cut; the rest goes to a
            temporary file. None for half of what is free.
    """
    cut = cut_at(model, weight)
    batches = [batch for scoring in sets for batch in scoring.batches]
    try:
        crossing = _run_prefix(
            cut, batches, providers, free_memory() // 2 if memory is None else memory
        )
    except ModelError:  # if it is the model that fails, the whole of it will say so
        cut, crossing = uncut(model, weight), TensorStore(0)
        for _ in batches:
            crossing.append({})
    return evaluators_behind(model, cut, crossing, sets, providers)


def evaluators_behind(
    model: Model,
    cut: Cut,
    crossing: Sequence[Arrays],
    sets: Sequence[ScoringSet],
    providers: Sequence[str] | None = None,
) -> list[Evaluator]:
    """An evaluator per scoring set for a model that is cut, all on one session.

    Args:
        model: the model.
        cut: where it is cut.
        crossing: what its prefix gives for each batch of all sets.
        sets: the samples that score.
        providers: as for `Session`.
    """
    known = _Known([batch for scoring in sets for batch in scoring.batches], crossing)
    tail = suffix(model, cut, _specs(known, cut.suffix_inputs))
    session = Session(serialize(tail), f"the model behind {cut.weight!r}", providers)
    names = [output.name for output in model.graph.output]
    evaluators, start = [], 0
    for scoring in sets:
        end = start + len(scoring.batches)
        part = _Known(scoring.batches, crossing, start)
        evaluators.append(
            Evaluator(
                session, cut.weight, cut.dtype, cut.suffix_inputs, names, part,
                scoring.batches, scoring.target,
            )
        )  # fmt: skip
        start = end
    return evaluators


class _Known(Sequence[Arrays]):
    """All tensors that are known for a batch: what it feeds, and what crosses the cut."""

    def __init__(
        self, batches: Sequence[Batch], crossing: Sequence[Arrays], start: int = 0
    ) -> None:
        self._batches, self._crossing, self._start = batches, crossing, start

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, place: int) -> Arrays:  # type: ignore[override]  # no slices
        return {**self._batches[place].feed, **self._crossing[self._start + place]}


def _run_prefix(
    cut: Cut, batches: Sequence[Batch], providers: Sequence[str] | None, memory: int
) -> TensorStore:
    """The tensors that cross the cut for each batch."""
    crossing = TensorStore(memory)
    session = None
    if cut.prefix is not None:
        session = Session(serialize(cut.prefix), f"the model before {cut.weight!r}", providers)
    for batch in batches:
        crossing.append({} if session is None else session.run(batch.feed))
    return crossing


def free_memory() -> int:
    """Bytes of memory that are free, 4 GiB where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 * 2**30


def _specs(known: Sequence[Arrays], names: Sequence[str]) -> list[TensorSpec]:
    """Type and shape of tensors; an axis that changes from batch to batch is open.

    Known sizes matter: ONNX Runtime infers wrong shapes from an integer vector of unknown length.
    """
    shapes: dict[str, set[tuple[int, ...]]] = {name: set() for name in names}
    dtypes: dict[str, np.dtype] = {}
    for tensors in known:
        for name in names:
            shapes[name].add(tensors[name].shape)
            dtypes[name] = tensors[name].dtype
    return [TensorSpec(name, dtypes[name], _common(shapes[name])) for name in names]


def _common(shapes: set[tuple[int, ...]]) -> tuple[int | None, ...] | None:
    if len({len(shape) for shape in shapes}) > 1:
        return None
    return tuple(axis[0] if len(set(axis)) == 1 else None for axis in zip(*shapes, strict=True))
