"""The tensors of each batch, and what is said of their types and shapes."""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.score import Session
from onnx_evoq.signature import TensorSpec


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
