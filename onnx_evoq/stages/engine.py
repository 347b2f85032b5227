"""The scoring engine: evaluators for one weight of a model after the other."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from onnx_evoq.batch import Arrays, Batch
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.model import Cut, Model, bridge, cut_at, serialize, suffix, uncut
from onnx_evoq.score import Crew, Evaluator, Session, TensorStore
from onnx_evoq.signature import TensorSpec
from onnx_evoq.stages.scoring import ScoringSet


@dataclass(frozen=True)
class Resources:
    """What scoring may use.

    Attributes:
        providers: ONNX Runtime's execution providers in order of preference; None for the CPU.
        memory: bytes that may be held in memory of the tensors that all candidates for a weight
            share; the rest goes to a temporary file. None for half of what is free.
        workers: runs at a time, at most, each on one core; None for as many as there are cores.

    Raises:
        OptionError: there are no workers.
    """

    providers: Sequence[str] | None = None
    memory: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers {self.workers} score nothing: choose 1 or more.")


AS_IT_COMES = Resources()


@dataclass(frozen=True)
class _Crossing:
    """What crossed a cut: its tensors by batch, and what they were computed by."""

    cut: Cut
    made_by: bytes
    tensors: Sequence[Arrays]


class Engine:
    """Makes evaluators for a model that changes weight by weight.

    What crossed the last cut is remembered. If nothing changed before that cut since, the next
    cut that lies behind it starts from there, so that going through a model in its order costs one
    run of it altogether.

    Args:
        sets: the samples that score.
        resources: what may be used.
    """

    def __init__(self, sets: Sequence[ScoringSet], resources: Resources) -> None:
        self._sets = sets
        self._batches = [batch for scoring in sets for batch in scoring.batches]
        self._resources = resources
        self._last: _Crossing | None = None

    def evaluators(self, model: Model, weight: str) -> list[Evaluator]:
        """An evaluator per scoring set for one weight of `model`, all on one session.

        The graph is cut at the weight, and what crosses the cut is computed once and kept. Where
        that is no tensor that NumPy knows (a sequence, bfloat16), or the disk has no room for it,
        each candidate runs the whole model.
        """
        cut = cut_at(model, weight)
        try:
            crossing = self._crossing(model, cut)
        except (ModelError, OSError):  # no arrays, or no room; a broken model fails again below
            self._last = None
            return self.whole_model_evaluators(model, weight)
        return self._behind(model, cut, crossing)

    def whole_model_evaluators(self, model: Model, weight: str) -> list[Evaluator]:
        """The same, but each candidate runs the whole model."""
        return self._behind(model, uncut(model, weight), [{} for _ in self._batches])

    def _behind(self, model: Model, cut: Cut, crossing: Sequence[Arrays]) -> list[Evaluator]:
        known = _Known(self._batches, crossing)
        session = Session(
            serialize(suffix(model, cut, _specs(known, cut.suffix_inputs))),
            f"the model behind {cut.weight!r}",
            self._resources.providers,
            threads=1 if _on_cpu(self._resources) else None,
        )
        crew = Crew(_workers(self._resources))
        names = [output.name for output in model.graph.output]
        evaluators, start = [], 0
        for scoring in self._sets:
            part = _Known(scoring.batches, crossing, start)
            evaluators.append(
                Evaluator(
                    session, crew, cut.weight, cut.dtype, cut.suffix_inputs, names, part,
                    scoring.batches, scoring.target,
                )
            )  # fmt: skip
            start += len(scoring.batches)
        return evaluators

    def _crossing(self, model: Model, cut: Cut) -> Sequence[Arrays]:
        """The tensors that cross the cut for each batch."""
        if cut.prefix is None:
            return [{} for _ in self._batches]
        prefix, known = cut.prefix, _Known(self._batches, [{} for _ in self._batches])
        last, made_by = self._last, _digest(prefix)
        if last is not None and made_by == last.made_by:
            return last.tensors
        if last is not None and _digest(cut_at(model, last.cut.weight).prefix) == last.made_by:
            known = _Known(self._batches, last.tensors)
            specs = _specs(known, last.cut.prefix_outputs)
            prefix = bridge(model, specs, cut.prefix_outputs) or prefix
        session = Session(
            serialize(prefix), f"the model before {cut.weight!r}", self._resources.providers
        )
        memory = self._resources.memory
        # Half for this one, half for the next, which is computed from it.
        tensors = TensorStore((_free_memory() // 2 if memory is None else memory) // 2)
        for each in known:
            tensors.append(session.run({name: each[name] for name in session.inputs}))
        self._last = _Crossing(cut, made_by, tensors)
        return tensors


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


def _free_memory() -> int:
    """Bytes of memory that are available, 4 GiB where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 * 2**30


def _on_cpu(resources: Resources) -> bool:
    first = (resources.providers or ["cpu"])[0].lower()
    return first.removesuffix("executionprovider") == "cpu"


def _workers(resources: Resources) -> int:
    """One where it is not the CPU that computes: other devices share their cores themselves."""
    if not _on_cpu(resources):
        return 1
    if resources.workers is not None:
        return resources.workers
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _digest(model: Model | None) -> bytes:
    return b"" if model is None else blake2b(serialize(model)).digest()


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
