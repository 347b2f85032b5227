"""Reconstruct a whole model layer by layer, in the graph's order and in closed form.

1. A layer's columns come from the model with the weights before it quantized, its targets from the
   float model. So each layer compensates for the errors of the layers before it.
2. If the output is one branch of a residual sum, the target is the float model's sum minus the
   other branch of the quantized model. So the layer compensates for the errors of that branch, too.
3. The codes of a layer follow from second moments of columns and targets, gathered over batches at
   positions drawn at random; or, where these are few, from the columns and targets themselves. How
   far a layer may move to compensate is judged on held-out samples: on those that the layers before
   it were fitted to, their errors look smaller and more alike than they are.
   Errors that the activation behind the layer hides do not count. The bias absorbs the mean error
   that is left.
4. A weight without a closed form (a table, a recurrent layer, a weight that several nodes read) is
   rounded to the nearest codes. So are layers for which there is no time (`plan`).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from onnx_evoq.array_types import Arrays, Float32Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine import (
    Ahead,
    AtLayer,
    Frontier,
    entries_per_sample,
    gather_samples,
    positions_for,
)
from onnx_evoq.errors import ModelError
from onnx_evoq.freed_memory import give_back
from onnx_evoq.model import Layer, Network, Weight, as_network, find_layers, own_biases
from onnx_evoq.quantize import (
    FULL,
    Effort,
    GridSpec,
    LayerReconstruction,
    LayerSamples,
    QuantizedWeight,
    reconstruct_with_activation,
)
from onnx_evoq.reconstruct.plan import LayerSize, Plan
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, axis_of_steps, cache_memory, nearest_of, workers_of

_RUNS_PER_SAMPLE = 2.5  # of the float model, by the walk through both models
_RUN_PARTS = 3  # these runs may take one part in so many of the time
_MOST_KEPT = 2**27  # bytes of activations of each model: more are computed again, or go to a file
_FEWEST_SAMPLES = 64  # that moments are gathered from
_FEWEST_JUDGES, _MOST_JUDGES = 2, 64  # held-out samples that choose dampings
_POSITIONS_PER_TAKEN = 4  # positions of all samples for each one that moments are gathered from


@dataclass(frozen=True)
class QuantizedModel:
    """A model whose weights are quantized.

    Attributes:
        model: the float model with the corrected biases.
        quantized: the codes and the grid of each weight, by name.
        layers: the reconstruction of each weight with a closed form, by name.
        nearest: the names of the weights without a closed form, or without columns to apply it to,
            which are rounded to the nearest codes.
        cut: a sentence about what was left out to save time; empty if nothing was.
    """

    model: Network
    quantized: dict[str, QuantizedWeight]
    layers: dict[str, LayerReconstruction]
    nearest: tuple[str, ...]
    cut: str = ""

    @cached_property
    def as_float(self) -> Network:
        """The model with the values of the codes as its weights."""
        return self.model.with_values(self.quantized)


def reconstruct_layers(
    task: Task,
    rng: np.random.Generator,
    effort: Effort = FULL,
    deadline: Deadline | None = None,
    *,
    details: bool = True,
) -> QuantizedModel:
    """Quantize all weights, each so that its layer's output changes least on the search set.

    Args:
        task: the task; labels are not used, and the held-out set only chooses dampings.
        rng: draws the positions that moments are gathered from.
        effort: the most work on each layer; less is done where time is short (`plan`).
        deadline: when it should be done; None for the task's deadline.
        details: whether to keep what a search for better codes needs of each layer.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    deadline, workers = deadline or task.deadline, workers_of(task.resources)
    bits, granularity, scale = task.bits, task.granularity, task.scale
    values = {weight.name: weight.values for weight in task.weights}
    model = as_network(own_biases(task.model, bits)).with_values(values)
    layers = find_layers(model, task.weights)
    if not effort.activation_rounds:
        layers = {name: replace(layer, activation=None) for name, layer in layers.items()}
    walk = _Walk(task, model, deadline)
    plan = Plan(layer_sizes(task.weights, layers, walk.seconds), deadline, effort)
    so_far, quantized = model, dict[str, QuantizedWeight]()
    biases, reconstructions = dict[str, Float32Array](), dict[str, LayerReconstruction]()
    late = set[str]()  # names of weights that are rounded to save time
    with task.progress("reconstructing", len(task.weights)) as step:
        for index, weight in enumerate(task.weights):
            name, axis = weight.name, axis_of_steps(weight, granularity)
            spec = GridSpec(bits[name], axis, scale, weight.dtype)
            layer, samples = layers.get(name), None
            if layer is not None:
                own = plan.effort()
                if own is not None:
                    samples = walk.samples(so_far, index, layer, own.positions, rng)
                if own is not None and samples is not None:
                    reconstructions[name] = reconstruct_with_activation(
                        weight.values, layer.linear, samples, spec, own, rng, workers
                    )
                    quantized[name] = reconstructions[name].quantized
                    if not details:
                        reconstructions[name] = reconstructions[name].without_details()
                    if layer.bias is not None:
                        biases[layer.bias] = reconstructions[name].bias
                if own is None:
                    late.add(name)
                plan.done(own, learns=samples is not None)
            if name not in quantized:
                quantized.update(nearest_of([weight], bits, granularity, scale))
            so_far = so_far.with_values({name: quantized[name], **biases})
            step(1)
    rounded_to_nearest = tuple(n for n in quantized if n not in reconstructions and n not in late)
    corrected = model.with_values(biases)
    del walk
    give_back()
    return QuantizedModel(corrected, quantized, reconstructions, rounded_to_nearest, plan.cut)


def layer_sizes(
    weights: Sequence[Weight], layers: Mapping[str, Layer], seconds: float = 0.0
) -> list[LayerSize]:
    """The sizes of the layers with a closed form, in the order of their weights.

    Args:
        weights: the weights.
        layers: their layers by name.
        seconds: for running the samples through all layers.
    """
    each, sizes = seconds / max(1, len(layers)), []
    for weight in weights:
        if weight.name in layers:
            groups, rows, columns = layers[weight.name].linear.matrix(weight.values).shape
            sizes.append(LayerSize(groups, rows, columns, each))
    return sizes


def _heldout(task: Task, samples: int) -> Sequence[Batch]:
    """The held-out samples that choose dampings, about `samples`.

    There are none if they are too few to judge, or are the samples of the search set, too: these
    cannot judge what they gave.
    """
    same = task.heldout_set.batches[0] is task.search_set.batches[0]
    if same or min(samples, task.heldout_set.samples) < _FEWEST_JUDGES:
        return []
    return task.heldout_set.first(samples).batches


class _Walk:
    """Takes the float model and the quantized model from one layer to the next."""

    def __init__(self, task: Task, model: Network, deadline: Deadline) -> None:
        self._model = model
        self._names = [weight.name for weight in task.weights]
        self._weights = {weight.name: weight.values for weight in task.weights}
        self._workers = workers_of(task.resources)
        memory = cache_memory(task.resources)
        runs = _RUNS_PER_SAMPLE * task.seconds
        most = deadline.left / (_RUN_PARTS * runs) if runs else np.inf
        search, judges = task.search_set, _MOST_JUDGES
        if most < search.samples:  # and a fifth of as many to judge
            judges = min(judges, int(most / 5))
            search = search.first(max(1, int(most)))
        heldout = _heldout(task, judges)
        self._heldout = len(heldout)
        self._batches = [*heldout, *search.batches]
        samples = sum(batch.count for batch in self._batches)
        self.seconds = runs * samples  # for taking all samples through both models
        few = search.first(_FEWEST_SAMPLES).batches
        self._kept_values = memory // 8  # half of it, with four bytes each
        kept = min(memory // 8, _MOST_KEPT)
        self._quantized, self._float = (
            Frontier(self._batches, task.resources, kept, len(heldout) + len(few)) for _ in range(2)
        )

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
        shape = layer.linear.matrix(self._weights[layer.weight]).shape
        inputs = [layer.input] if layer.other is None else [layer.input, layer.other]
        outputs = [layer.output] if layer.sum is None else [layer.output, layer.sum]
        try:
            both = self._ahead(so_far, index, inputs, outputs)
        except ModelError:  # a tensor is no array
            return None
        if self._grow(so_far, layer, shape, positions, both[1].first):
            both = self._ahead(so_far, index, inputs, outputs)
        tensors, targets = both
        source = AtLayer(
            layer, shape, tensors, targets, self._batches[: self._float.count], self._heldout
        )

        def keep(of_quantized: Arrays, of_float: Arrays) -> None:
            tensors.keep(of_quantized)
            targets.keep(of_float)

        try:
            samples = gather_samples(
                source, rng, positions, self._workers,
                moments=False, kept=self._kept_values, keep=keep,
            )  # fmt: skip
        except ModelError:  # a tensor of a later batch is no array
            return None
        if samples is not None:
            tensors.done()
            targets.done()
        return samples

    def _ahead(
        self, so_far: Network, index: int, inputs: Sequence[str], outputs: Sequence[str]
    ) -> tuple[Ahead, Ahead]:
        # The float model never changes, so that its frontier may lie behind the layer.
        return (
            self._quantized.ahead(so_far, self._names[index:], inputs),
            self._float.ahead(self._model, self._names[index + 1 :], outputs),
        )

    def _grow(
        self,
        so_far: Network,
        layer: Layer,
        shape: tuple[int, int, int],
        positions: int,
        at_first: Arrays,
    ) -> bool:
        """Bring in more samples if the layer has few positions in each of them."""
        output = at_first[layer.output]
        per_sample = max(1, layer.linear.positions(output.shape)) if output.ndim > 1 else 1
        if output.ndim:
            per_sample *= int(entries_per_sample(output, self._batches[0]))
        samples = int(_POSITIONS_PER_TAKEN * positions_for(positions, shape)) // per_sample
        totals = list(accumulate(batch.count for batch in self._batches[self._heldout :]))
        count = self._heldout + min(bisect_left(totals, samples) + 1, len(totals))
        if count <= self._float.count:
            return False
        self._quantized.grow(so_far, count)
        self._float.grow(self._model, count)
        return True
