"""The activations at a cut through a model, for all batches, as the cut moves through the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.model import Cut, Model, bridge, cut_at, serialize
from onnx_evoq.score import TensorStore
from onnx_evoq.setup import Resources, free_memory, open_session
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True)
class _Crossing:
    """The tensors that crossed a cut, by batch, and a digest of what computed them."""

    cut: Cut
    made_by: bytes
    tensors: Sequence[Arrays]


class ActivationCache:
    """Keeps the activations at a cut through a model that changes weight by weight.

    The last cut is remembered. As long as nothing before it changed, a cut further behind starts
    from its activations. So to go through a model in its order costs one run of it altogether.

    Attributes:
        resources: what may be used.

    Args:
        batches: what the model is fed.
        resources: what may be used.
        share: of the memory.
    """

    def __init__(self, batches: Sequence[Batch], resources: Resources, share: float = 1.0) -> None:
        self._batches = batches
        self.resources = resources
        self._share = share
        self._last: _Crossing | None = None

    def crossing(self, model: Model, cut: Cut) -> Sequence[Arrays]:
        """The tensors that cross the cut, and the outputs before it, for each batch.

        Args:
            model: the model as it is now.
            cut: a cut through it.

        Raises:
            ModelError: the part before the cut cannot be run, or a tensor at the cut is no array.
            StorageError: the disk has no room for activations that do not fit into memory.
        """
        if cut.prefix is None:
            return [{} for _ in self._batches]
        prefix, known = cut.prefix, KnownTensors(self._batches, [{} for _ in self._batches])
        last, made_by = self._last, _digest(prefix)
        if last is not None and made_by == last.made_by:
            return last.tensors
        if last is not None and _digest(cut_at(model, *last.cut.dtypes).prefix) == last.made_by:
            known = KnownTensors(self._batches, last.tensors)
            specs = specs_of(known, last.cut.prefix_outputs)
            prefix = bridge(model, specs, cut.prefix_outputs) or prefix
        session = open_session(prefix, self.resources, f"the model before {cut.label}")
        memory = self.resources.memory
        allowed = free_memory() // 2 if memory is None else memory
        # Half for this one, half for the next, which is computed from it.
        tensors = TensorStore(int(allowed * self._share) // 2)
        for each in known:
            tensors.append(session.run({name: each[name] for name in session.inputs}))
        self._last = _Crossing(cut, made_by, tensors)
        return tensors


class KnownTensors(Sequence[Arrays]):
    """For each batch, the tensors that are known: the inputs, and those at the cut."""

    def __init__(
        self, batches: Sequence[Batch], crossing: Sequence[Arrays], start: int = 0
    ) -> None:
        self._batches, self._crossing, self._start = batches, crossing, start

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Arrays:  # type: ignore[override]  # no slices
        return {**self._batches[index].feed, **self._crossing[self._start + index]}


def _digest(model: Model | None) -> bytes:
    return b"" if model is None else blake2b(serialize(model)).digest()


def specs_of(known: Sequence[Arrays], names: Sequence[str]) -> list[TensorSpec]:
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
