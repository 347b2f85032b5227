"""The activation cache: the tensors at a cut through a model, for all batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.model import Cut, Network, Runnable, bridge, cut_at, same
from onnx_evoq.parallel import in_order
from onnx_evoq.score import Session, TensorStore
from onnx_evoq.setup import Resources, cache_memory, open_session, workers_of
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True)
class _CachedCut:
    """The tensors that cross a cut, for each batch.

    Attributes:
        cut: the cut, with the part of the model that computed the tensors.
        tensors: the tensors that cross the cut, by name, for each batch.
    """

    cut: Cut
    tensors: Sequence[Arrays]


class ActivationCache:
    """Keeps the tensors at the last cut through a model whose weights change one by one.

    While nothing before that cut changes, a later cut is computed from its tensors. So cutting a
    model at each of its layers in order costs one run of the model in all.

    Attributes:
        resources: what the runs may use.

    Args:
        batches: the samples.
        resources: what the runs may use.
        share: share of the memory that this cache may use.
    """

    def __init__(self, batches: Sequence[Batch], resources: Resources, share: float = 1.0) -> None:
        self._batches = batches
        self.resources = resources
        self._share = share
        self._last: _CachedCut | None = None

    def crossing(self, model: Runnable, cut: Cut) -> Sequence[Arrays]:
        """Compute the tensors that cross a cut, or take them from the cache.

        Args:
            model: the model with its present weights.
            cut: a cut through this model.

        Returns:
            For each batch, the tensors that cross the cut and the model's outputs before it, by
            name.

        Raises:
            ModelError: the part before the cut cannot be run, or a tensor at the cut is no array.
            StorageError: the disk has no room for activations that do not fit into memory.
        """
        if cut.prefix is None:
            return [{} for _ in self._batches]
        prefix, known = cut.prefix, BatchTensors(self._batches, [{} for _ in self._batches])
        last = self._last
        if last is not None and _same(prefix, last.cut.prefix):
            return last.tensors
        if last is not None and _same(cut_at(model, *last.cut.dtypes).prefix, last.cut.prefix):
            # Nothing before the last cut has changed: run only what lies between the two cuts.
            known = BatchTensors(self._batches, last.tensors)
            specs = specs_of(known, last.cut.prefix_outputs)
            prefix = bridge(model, specs, cut.prefix_outputs) or prefix
        session = open_session(prefix, self.resources, f"the model before {cut.label}")
        allowed = cache_memory(self.resources)
        # Half is for this cut, and half for the next one, which is computed from it.
        tensors = TensorStore(int(allowed * self._share) // 2)

        def crossing(index: int) -> Arrays:
            return run_on(session, known[index])

        for each in in_order(crossing, range(len(known)), workers_of(self.resources)):
            tensors.append(each)
        self._last = _CachedCut(cut, tensors)
        return tensors


class BatchTensors(Sequence[Arrays]):
    """For each batch, the model's inputs and the tensors that cross a cut, by name.

    Args:
        batches: the samples.
        crossing: the tensors that cross the cut, for more batches perhaps.
        start: the index in `crossing` of the first of `batches`.
    """

    def __init__(
        self, batches: Sequence[Batch], crossing: Sequence[Arrays], start: int = 0
    ) -> None:
        self._batches, self._crossing, self._start = batches, crossing, start

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Arrays:  # type: ignore[override]  # no slices
        return {**self._batches[index].feed, **self._crossing[self._start + index]}


def run_on(session: Session, known: Arrays) -> Arrays:
    """Run a part of a model on those of some tensors that it takes."""
    return session.run({name: known[name] for name in session.inputs})


def _same(one: Network | None, other: Network | None) -> bool:
    return one is not None and other is not None and same(one, other)


def specs_of(known: Sequence[Arrays], names: Sequence[str]) -> list[TensorSpec]:
    """The type and the shape of tensors, which their values for each batch show.

    An axis whose size changes from batch to batch is None; so is a shape whose rank changes. Sizes
    matter: ONNX Runtime infers wrong shapes from an integer vector of unknown length.

    Args:
        known: the tensors of each batch.
        names: the tensors to specify.
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
