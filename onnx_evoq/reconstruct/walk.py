"""Take the float model and the quantized model from layer to layer, and gather samples at each.

Layers with many positions in each sample need few samples. The others come in when a layer needs
them, so batches of the search set and of the held-out samples, which only choose dampings, take
turns.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine import (
    Ahead,
    Around,
    AtLayer,
    Frontier,
    SentAhead,
    SentFrontier,
    Shards,
    batches_of_section,
    gather_on_workers,
    gather_samples,
    mean_positions,
    positions_for,
    sources_of,
)
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Network
from onnx_evoq.parallel import in_order
from onnx_evoq.quantize import LayerSamples
from onnx_evoq.setup import Task, executor_of, workers_of

_MOST_KEPT = 2**27  # bytes of activations of each model: more are computed again, or go to a file
_FIRST_SAMPLES = 32  # with which the first layers begin
_FEWEST_JUDGES, _MOST_JUDGES = 2, 64  # held-out samples that choose dampings
_BATCHES_PER_JUDGE = 2  # of the search set, for each batch that is held out
_POSITIONS_PER_TAKEN = 2  # positions of all samples for each one that moments are gathered from

Both = tuple[Ahead | SentAhead, Ahead | SentAhead]  # of the quantized model and of the float model


def _heldout(task: Task, samples: int) -> Sequence[Batch]:
    """The held-out samples that choose dampings, about `samples`.

    There are none if they are too few to judge, or are the samples of the search set, too: these
    cannot judge what they gave.
    """
    same = task.heldout_set.batches[0] is task.search_set.batches[0]
    if same or min(samples, task.heldout_set.samples) < _FEWEST_JUDGES:
        return []
    return task.heldout_set.first(samples).batches


def _interleaved(
    search: Sequence[Batch], heldout: Sequence[Batch]
) -> tuple[list[Batch], frozenset[int]]:
    """The batches of both sets, so that some of each come first; and the numbers of those held out.

    One of these is followed by `_BATCHES_PER_JUDGE` of the search set.
    """
    batches, numbers, rest = list[Batch](), set[int](), list(heldout)
    for index, batch in enumerate(search):
        if rest and index % _BATCHES_PER_JUDGE == 0:
            numbers.add(len(batches))
            batches.append(rest.pop(0))
        batches.append(batch)
    numbers |= set(range(len(batches), len(batches) + len(rest)))
    return [*batches, *rest], frozenset(numbers)


def positions_of_a_sample(
    task: Task, model: Network, layers: Mapping[str, Layer]
) -> dict[str, float]:
    """How many positions each sample has at each layer, by weight, from a run of the first batch.

    Args:
        task: the samples, and what may be used.
        model: the float model.
        layers: the layers by weight.

    Returns:
        Nothing if a tensor is no array.
    """
    first = Frontier(task.search_set.batches, task.resources, 0, 1)
    wanted = dict.fromkeys(name for layer in layers.values() for name in layer.given_by_all)
    try:
        tensors = first.ahead(model, list(layers), list(wanted)).first
    except ModelError:
        return {}
    batches = task.search_set.batches
    weights = {weight.name: weight.values for weight in task.weights}
    return {
        name: sum(mean_positions(u, weights[name].shape, tensors, batches) for u in layer.uses)
        for name, layer in layers.items()
    }


class Walk:
    """Takes the float model and the quantized model from one layer to the next.

    Attributes:
        unreached: the weights of layers in branches that no sample takes, as far as asked for.

    Args:
        task: the samples, the weights, and what may be used.
        model: the float model.
        samples: of the search set that are taken, at most. With fewer than all, a fifth of as many
            judge.
    """

    def __init__(self, task: Task, model: Network, samples: int) -> None:
        self.unreached: set[str] = set()
        self._passed: deque[tuple[Network, int, Layer, int, bool]] = deque()
        self._model = model
        self._names = [weight.name for weight in task.weights]
        self._weights = {weight.name: weight.values for weight in task.weights}
        self._workers = workers_of(task.resources)
        search, judges = task.search_set, _MOST_JUDGES
        if samples < search.samples:
            search, judges = search.first(samples), min(judges, samples // 5)
        self._batches, self._heldout = _interleaved(search.batches, _heldout(task, judges))
        few = self._count_with(_FIRST_SAMPLES)
        self._kept_values = task.memory // 8  # half of it, with four bytes each
        self._given = self._batches, task.resources, min(task.memory // 8, _MOST_KEPT)
        executor = executor_of(task.resources)
        self._shards = None
        if executor.near is not executor:
            size = batches_of_section(len(self._batches))
            self._shards = Shards(self._batches, executor, size)
        self._begin(few)

    def _begin(self, count: int) -> None:
        """Begin at the model's inputs, with some batches."""
        self._quantized: Frontier | SentFrontier
        self._float: Frontier | SentFrontier
        if self._shards is None:
            self._quantized, self._float = (Frontier(*self._given, count) for _ in range(2))
        else:
            given = *self._given, count, self._shards
            self._quantized, self._float = (SentFrontier(*given) for _ in range(2))

    def samples(
        self,
        so_far: Network,
        index: int,
        layer: Layer,
        positions: int,
        rng: np.random.Generator,
    ) -> LayerSamples | None:
        """The columns and targets of the layer of a weight; None where they cannot be had.

        Args:
            so_far: the model with the weights before this one quantized.
            index: of the weight.
            layer: its layer.
            positions: of all samples together, at most.
            rng: draws positions.
        """
        weight = self._weights[layer.weight]
        self._catch_up()
        try:
            both = self._reached(so_far, index, layer, positions)
        except ModelError:  # a tensor is no array
            return None
        tensors, targets = both
        batches, models = self._batches[: self._float.count], (so_far, self._model)
        sources = sources_of(layer, weight, models)
        around = Around(*both, batches, self._heldout, len(self._batches))
        try:
            samples = self._gathered(sources, around, both, rng, positions)
        except ModelError:  # a tensor of a later batch is no array
            return None
        if samples is not None:
            tensors.done()
            targets.done()
        elif not tensors.first[layer.input].size:
            self.unreached.add(layer.weight)
        return samples

    def _gathered(
        self,
        sources: Sequence[AtLayer],
        around: Around,
        both: Both,
        rng: np.random.Generator,
        positions: int,
    ) -> LayerSamples | None:
        """The columns and targets, gathered where the samples are."""
        tensors, targets = both
        if self._shards is not None:
            assert isinstance(tensors, SentAhead)
            assert isinstance(targets, SentAhead)
            stages = tensors.stages, targets.stages
            return gather_on_workers(
                sources, around, stages, self._shards, rng, positions,
                moments=False, kept=self._kept_values,
            )  # fmt: skip

        def keep(of_quantized: Arrays, of_float: Arrays) -> None:
            tensors.keep(of_quantized)
            targets.keep(of_float)

        return gather_samples(
            sources, around, rng, positions, self._workers,
            moments=False, kept=self._kept_values, keep=keep,
        )  # fmt: skip

    def passes(
        self, so_far: Network, index: int, layer: Layer, positions: int, *, on: bool
    ) -> None:
        """Go past a layer as `samples` would, without its columns and targets.

        What must be run for that is only run when a later layer asks for samples.

        Args:
            so_far: as for `samples`.
            index: as for `samples`.
            layer: as for `samples`.
            positions: as for `samples`.
            on: whether `samples` gave columns and targets, and so went on behind the layer.
        """
        self._passed.append((so_far, index, layer, positions, on))

    def _catch_up(self) -> None:
        """Run the models up to where all layers are passed.

        ONNX Runtime adds up in an order that depends on where a model is cut. So it is cut where it
        would have been, and the numbers behind are the same to the bit.
        """
        while self._passed:
            so_far, index, layer, positions, on = self._passed.popleft()
            try:
                both = self._reached(so_far, index, layer, positions)
            except ModelError:  # a tensor is no array
                continue
            if not on:
                continue
            tensors, targets = both

            def at(batch: int, both: Both = both) -> tuple[Arrays, Arrays]:
                return both[0].of(batch), both[1].of(batch)

            for of_quantized, of_float in in_order(at, range(self._float.count), self._workers):
                tensors.keep(of_quantized)
                targets.keep(of_float)
            tensors.done()
            targets.done()

    def _count_with(self, samples: int) -> int:
        """How many batches hold at least so many samples of the search set; all if none do."""
        fitted = (0 if i in self._heldout else b.count for i, b in enumerate(self._batches))
        return min(bisect_left(list(accumulate(fitted)), samples) + 1, len(self._batches))

    def _reached(self, so_far: Network, index: int, layer: Layer, positions: int) -> Both:
        """The tensors at a layer, for as many samples as it needs."""
        both = self._ahead(so_far, index, layer)
        if self._grow(so_far, layer, positions, both[1].first):
            both = self._ahead(so_far, index, layer)
        return both

    def _ahead(self, so_far: Network, index: int, layer: Layer) -> Both:
        # The float model never changes, so that its frontier may lie behind the layer.
        return (
            self._quantized.ahead(so_far, self._names[index:], layer.read_by_all),
            self._float.ahead(self._model, self._names[index + 1 :], layer.given_by_all),
        )

    def _grow(self, so_far: Network, layer: Layer, positions: int, at_first: Arrays) -> bool:
        """Bring in more samples if the layer has few positions in each of them."""
        weight = self._weights[layer.weight]
        of_uses = (mean_positions(u, weight.shape, at_first, self._batches) for u in layer.uses)
        groups, rows, columns = layer.linear.matrix(weight).shape
        most = positions_for(positions, (groups, rows, columns))
        samples = int(_POSITIONS_PER_TAKEN * most / sum(of_uses))
        count = self._count_with(samples)
        if count <= self._float.count:
            return False
        before = self._float.count
        try:
            self._quantized.grow(so_far, count)
            self._float.grow(self._model, count)
        except ModelError:  # a tensor of a new batch is no array, and some batches have come
            self._begin(before)
            raise
        return True
