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
4. Several layers with one weight are one, whose columns and targets are those of all of them. It
   comes where the first of them is: the columns of the others are then those of a model in which
   what lies between is not quantized yet.
5. A weight without a closed form (a table) is rounded to the nearest codes. So is one whose branch
   never runs, and so are layers for which there is no time (`plan`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from onnx_evoq.activations import Activations
from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.freed_memory import give_back
from onnx_evoq.model import (
    Layer,
    Network,
    Weight,
    as_network,
    bias_values,
    find_layers,
    initializer_values,
    own_biases,
)
from onnx_evoq.quantize import (
    FULL,
    Effort,
    GridSpec,
    LayerReconstruction,
    QuantizedWeight,
    reconstruct_with_activation,
)
from onnx_evoq.reconstruct.kept_layers import KeptLayer, keep_layer, kept_count, kept_layer
from onnx_evoq.reconstruct.plan import RUNS_PER_SAMPLE, LayerSize, Plan, samples_in_time
from onnx_evoq.reconstruct.walk import Walk, positions_of_a_sample
from onnx_evoq.run import Deadline, until_interrupted
from onnx_evoq.setup import Task, axis_of_steps, executor_of


@dataclass(frozen=True)
class QuantizedModel:
    """A model whose weights are quantized.

    Attributes:
        model: the float model with the corrected biases.
        quantized: the codes and the grid of each weight, by name.
        layers: the reconstruction of each weight with a closed form, by name.
        nearest: the names of the weights without a closed form, or without columns to apply it to,
            which are rounded to the nearest codes.
        unreached: those of them that are in a branch which no sample takes.
        cut: sentences about what was left out to save time, or by an interruption; empty if nothing
            was.
        late: the names of the weights that are rounded to the nearest codes for that reason.
    """

    model: Network
    quantized: dict[str, QuantizedWeight]
    layers: dict[str, LayerReconstruction]
    nearest: tuple[str, ...]
    unreached: tuple[str, ...] = ()
    cut: str = ""
    late: frozenset[str] = frozenset()

    @property
    def found(self) -> Iterator[Array]:
        """All codes and steps as arrays, and the biases that go with them."""
        for codes, grid in self.quantized.values():
            yield from (codes, np.asarray(grid.step))
        yield from (each for each in self.model.values.values() if isinstance(each, np.ndarray))

    @cached_property
    def as_float(self) -> Network:
        """The model with the values of the codes as its weights."""
        return self.model.with_values(self.quantized)


class ReconstructionInterrupted(KeyboardInterrupt):
    """A reconstruction was interrupted.

    Attributes:
        partial: what there is of it: the weights that were not reached are rounded to the nearest
            codes. None if no layer was done.
    """

    def __init__(self, partial: QuantizedModel | None) -> None:
        super().__init__()
        self.partial = partial


@dataclass(frozen=True, eq=False)
class _Done:
    """What the layers so far got.

    Attributes:
        quantized: the codes and the grid of each weight, by name.
        layers: the reconstruction of each weight with a closed form, by name.
        biases: the values of biases, by name.
        late: the names of the weights that are rounded for lack of time.
    """

    quantized: dict[str, QuantizedWeight] = field(default_factory=dict)
    layers: dict[str, LayerReconstruction] = field(default_factory=dict)
    biases: dict[str, Float32Array] = field(default_factory=dict)
    late: frozenset[str] = frozenset()

    def rounded(self, weights: Mapping[str, QuantizedWeight], *, late: bool) -> "_Done":
        """With weights that are rounded to the nearest codes, maybe to save time."""
        names = self.late.union(weights if late else ())
        return replace(self, quantized={**self.quantized, **weights}, late=names)

    def reconstructed(
        self, name: str, layer: LayerReconstruction, biases: Mapping[str, Float32Array]
    ) -> "_Done":
        """With a layer in closed form."""
        return replace(
            self,
            quantized={**self.quantized, name: layer.quantized},
            layers={**self.layers, name: layer},
            biases={**self.biases, **biases},
        )


def reconstruct_layers(
    task: Task,
    rng: np.random.Generator,
    effort: Effort = FULL,
    deadline: Deadline | None = None,
    *,
    details: bool = True,
    activations: Activations | None = None,
) -> QuantizedModel:
    """Quantize all weights, each so that its layer's output changes least on the search set.

    Args:
        task: the task; labels are not used, and the held-out set only chooses dampings.
        rng: draws the positions that moments are gathered from.
        effort: the most work on each layer; less is done where time is short (`plan`).
        deadline: when it should be done; None for the task's deadline.
        details: whether to keep what a search for better codes needs of each layer.
        activations: those of the task's model, whose targets then come from the model with float
            activations; None if they are floats.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
        ReconstructionInterrupted: on Ctrl-C; it holds what there is.
    """
    deadline, executor = deadline or task.deadline, executor_of(task.resources)
    bits, granularity, scale = task.bits, task.granularity, task.scale
    values = {weight.name: weight.values for weight in task.weights}
    model = as_network(own_biases(task.model, bits)).with_values(values)
    float_model, layers = model, find_layers(model, task.weights)
    if activations is not None:
        float_model = as_network(activations.float_model).with_values(values)
        layers = activations.layers(task.weights)
    if not effort.activation_rounds:
        layers = {name: layer.without_activations for name, layer in layers.items()}
    in_time = np.isfinite(deadline.left)
    positions = positions_of_a_sample(task, float_model, layers) if in_time else {}

    def inputs() -> Iterator[Array]:
        """All that tells this reconstruction from another one of the run."""
        yield from (weight.values for weight in task.weights)
        used = [use.bias for layer in layers.values() for use in layer.uses if use.bias is not None]
        yield from initializer_values(model, used).values()
        yield np.array([] if activations is None else [g.scale for g in activations.grids.values()])
        yield np.array(f"{bits} {granularity}")

    steps = task.steps.of("layers", inputs())

    def sizes(samples: int) -> list[LayerSize]:
        return layer_sizes(task.weights, layers, samples, task.seconds, positions)

    samples = kept_count(
        steps, lambda: samples_in_time(sizes, task.search_set.samples, deadline.left)
    )
    walk, plan = Walk(task, float_model, samples), Plan(sizes(samples), deadline, effort)
    done, so_far = _Done(), model

    def reconstructed(walk: Walk, index: int, weight: Weight, layer: Layer) -> KeptLayer:
        own = plan.effort()
        columns = None if own is None else walk.samples(so_far, index, layer, own.positions, rng)
        if own is None or columns is None:
            plan.done(own, learns=False)
            return KeptLayer(own, None, {}, weight.name in walk.unreached)
        axis = axis_of_steps(weight, granularity)
        spec = GridSpec(bits[weight.name], axis, scale, weight.dtype, task.narrow_range)
        found = reconstruct_with_activation(
            weight.values, layer.linear, columns, spec, own, rng, executor
        )
        biases = dict[str, Float32Array]()
        of_uses = np.atleast_2d(found.bias)
        for use, bias, seen in zip(layer.uses, of_uses, columns.counts, strict=True):
            if use.bias is None or not seen:  # in a branch that no sample takes
                continue
            if activations is not None:
                bias = activations.rounded_bias(use, bias, found.quantized.grid.step)
            biases[use.bias] = bias_values(so_far, use, bias)
        plan.done(own)
        return KeptLayer(own, found if details else found.without_details(), biases)

    progress = task.progress("reconstructing", len(task.weights))
    with until_interrupted() as interruption, progress as step:
        for index, weight in enumerate(task.weights):
            layer, got = layers.get(weight.name), None
            if layer is not None:
                got = kept_layer(steps, weight.name, rng)
                if got is not None and got.effort is not None:
                    on = got.found is not None
                    walk.passes(so_far, index, layer, got.effort.positions, on=on)
                    plan.done(got.effort, learns=False)
                    walk.unreached |= {weight.name} if got.unreached else set()
                else:
                    got = reconstructed(walk, index, weight, layer)
                    if got.effort is not None:  # what is rounded to save time may have it later
                        keep_layer(steps, weight.name, got, rng)
            if got is None or got.found is None:
                late = got is not None and got.effort is None
                done = done.rounded(task.nearest([weight], bits), late=late)
            else:
                done = done.reconstructed(weight.name, got.found, got.biases)
            so_far = model.with_values({**done.quantized, **done.biases})
            step(1, layer=weight.name)
    reached, cut = len(done.quantized), [plan.cut] if plan.cut else []
    if interruption.reason and not reached:
        raise ReconstructionInterrupted(None)
    rest = task.nearest([w for w in task.weights if w.name not in done.quantized], bits)
    if rest:
        cut_off = {name: rest[name] for name in rest if name in layers}
        done = done.rounded(rest, late=False).rounded(cut_off, late=True)
        cut.append(
            f"the reconstruction was stopped after {reached} of {reached + len(rest)} weights: the "
            "others are rounded to the nearest codes."
        )
    rounded = tuple(n for n in done.quantized if n not in done.layers and n not in done.late)
    unreached = tuple(name for name in rounded if name in walk.unreached)
    corrected = model.with_values(done.biases)
    del walk
    give_back()
    whole = QuantizedModel(
        corrected, done.quantized, done.layers, rounded, unreached, " ".join(cut), done.late
    )
    if interruption.reason:
        raise ReconstructionInterrupted(whole)
    return whole


def layer_sizes(
    weights: Sequence[Weight],
    layers: Mapping[str, Layer],
    samples: int = 0,
    seconds: float = 0.0,
    positions: Mapping[str, float] | None = None,
) -> list[LayerSize]:
    """The sizes of the layers with a closed form, in the order of their weights.

    Args:
        weights: the weights.
        layers: their layers by name.
        samples: how many are run.
        seconds: that the float model takes for a sample.
        positions: that each sample has at a layer, by name, where that is known.
    """
    known, running = positions or {}, RUNS_PER_SAMPLE * samples * seconds
    shapes = {
        weight.name: layers[weight.name].linear.matrix(weight.values).shape
        for weight in weights
        if weight.name in layers
    }
    # Half of the time is for products, if they are known, and half for what each layer takes.
    products = {name: known.get(name, 0.0) * math.prod(shape) for name, shape in shapes.items()}
    total, sizes = sum(products.values()), []
    for name, (groups, rows, columns) in shapes.items():
        share = 1 / len(shapes)
        if total:
            share = (share + products[name] / total) / 2
        available = samples * known[name] if name in known else math.inf
        sizes.append(LayerSize(groups, rows, columns, running * share, available))
    return sizes
