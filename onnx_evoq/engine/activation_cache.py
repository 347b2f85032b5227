"""The activation cache: the tensors at a cut through a model, for all batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts import BatchTensors, part_between, run_on, same_prefix
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Cut, Runnable
from onnx_evoq.parallel import in_order
from onnx_evoq.score import TensorStore
from onnx_evoq.setup import Resources, cache_memory, open_session, workers_of


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
        try:
            return self._computed(model, cut)
        except ModelError:  # no later cut may start from the tensors that led to the failure
            self._last = None
            raise

    def _computed(self, model: Runnable, cut: Cut) -> Sequence[Arrays]:
        if cut.prefix is None:
            return [{} for _ in self._batches]
        prefix, known = cut.prefix, BatchTensors(self._batches, [{} for _ in self._batches])
        last = self._last
        if last is not None and same_prefix(cut, last.cut):
            return last.tensors
        if last is not None:
            at_last = BatchTensors(self._batches, last.tensors)
            between = part_between(model, last.cut, cut, at_last)
            if between is not None:
                prefix, known = between, at_last
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
