"""The error of the output with one layer quantized, and the layers behind it refitted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.engine import HeldNetwork, LayerActivations, gather_at, hold_network
from onnx_evoq.executors import Executor, Memory, Reference
from onnx_evoq.executors import Task as Work
from onnx_evoq.model import Layer, Model, Network, Weight, as_network, bias_values, find_layers
from onnx_evoq.quantize import refit
from onnx_evoq.setup import Resources, ScoringSet, Task, executor_of, model_value, on_a_worker

_REFIT_SAMPLES = 256
_REFIT_POSITIONS = 16_384  # fewer than for variants: no codes are rounded with these moments
_SEED = 0  # of the positions, the same for all layers and all runs


def errors_behind(
    task: Task, model: Model, quantized: Iterable[tuple[int, Mapping[str, Array]]]
) -> Iterator[float]:
    """The output's error with one layer quantized and those behind it refitted, layer by layer.

    On a cluster, each worker does so for other layers.

    Args:
        task: the weights, the samples, and what may be used.
        model: the float model; each layer has a bias of its own.
        quantized: the index of each layer's weight, and the values that its quantization changes,
            by name. They are taken as they are needed.
    """
    layers = {
        name: layer.without_activations for name, layer in find_layers(model, task.weights).items()
    }
    scoring = task.search_set.first(_REFIT_SAMPLES).scored_by_relative_error()
    executor = executor_of(task.resources)
    given = list(task.weights), layers, scoring
    if executor.near is executor:
        refits = Refits(as_network(model), *given, task.resources)
        return (refits.error_behind(*each) for each in quantized)
    return _on_workers(
        _Held(
            hold_network(executor, as_network(model)),
            *given,
            on_a_worker(task.resources),
        ),
        quantized,
        executor,
    )


class Refits:
    """Refits the layers behind a quantized one.

    Args:
        model: the float model.
        weights: its weights, in the graph's order.
        layers: the layers with a closed form, without their activations, by weight.
        scoring: the samples that layers are refitted and models are scored on.
        resources: what the runs may use.
        share: share of the memory.
    """

    def __init__(
        self,
        model: Network,
        weights: Sequence[Weight],
        layers: Mapping[str, Layer],
        scoring: ScoringSet,
        resources: Resources,
        share: float = 1.0,
    ) -> None:
        self._model, self._weights, self._layers = model, weights, layers
        self._scoring, self._resources = scoring, resources
        # Of the float model, whose activations at each layer are asked for again and again.
        of_each = share / 2 / max(len(layers), 1)
        self._of_float = {name: self._activations(of_each) for name in layers}
        self._share = share / 4

    def error_behind(self, index: int, values: Mapping[str, Array]) -> float:
        """The output's error with one weight quantized and the layers behind it refitted.

        Args:
            index: of the weight.
            values: those that its quantization changes, by name.
        """
        model = self._model.with_values(values)
        activations = self._activations(self._share)
        for weight in self._weights[index + 1 :]:
            if weight.name not in self._layers:
                continue
            layer, rng = self._layers[weight.name], np.random.default_rng(_SEED)
            both = activations, self._of_float[weight.name]
            samples = gather_at(self._model, model, weight, layer, both, rng, _REFIT_POSITIONS)
            if samples is None:
                continue
            best, bias = refit(weight.values, layer.linear, samples.sums.moments())
            changed = {weight.name: best}
            for use, own in zip(layer.uses, np.atleast_2d(bias), strict=True):
                if use.bias is not None:
                    changed[use.bias] = bias_values(model, use, own)
            model = model.with_values(changed)
        return model_value(model, self._scoring, self._resources)

    def _activations(self, share: float) -> LayerActivations:
        return LayerActivations(self._scoring.batches, self._resources, share)


@dataclass(frozen=True, eq=False)
class _Held:
    """What a worker makes `Refits` of; the attributes are its arguments."""

    model: HeldNetwork
    weights: Sequence[Weight]
    layers: Mapping[str, Layer]
    scoring: ScoringSet
    resources: Resources


@dataclass(frozen=True, eq=False)
class _Asked:
    """Asks for the error behind a layer."""

    held: Reference[_Held]
    index: int
    values: Mapping[str, Array]


def _on_workers(
    held: _Held, quantized: Iterable[tuple[int, Mapping[str, Array]]], executor: Executor
) -> Iterator[float]:
    """The same errors, from workers."""
    reference = executor.hold(held)
    return executor.map(_error, (Work(_Asked(reference, *each)) for each in quantized))


def _error(memory: Memory, asked: _Asked) -> float:
    held = memory.value(asked.held)

    def made() -> Refits:
        share = 1.0 if held.resources.memory is not None else memory.share(2**20) / 2**20
        given = held.weights, held.layers, held.scoring, held.resources
        return Refits(held.model.network(memory), *given, share)

    refits = memory.made("refits", asked.held.key, made)
    return refits.error_behind(asked.index, asked.values)
