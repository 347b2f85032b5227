"""Put a network together from several roundings of each of its layers.

1. All layers are rounded in the same way, in each of the ways that there are.
2. Layer by layer in the graph's order, each rounding is tried with all other layers as they are by
   then, on other samples each time; the best stays.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array
from onnx_evoq.evolve.code_vector import CodeVector
from onnx_evoq.model import find_layers, initializer_values
from onnx_evoq.quantize import sum_preserving_roundings
from onnx_evoq.reconstruct import Reconstructed
from onnx_evoq.setup import Task

# The fitness of candidates on some of the samples, for the number of the turn; None out of time.
Scored = Callable[[Sequence[Codes], int], Float64Array | None]


def roundings(task: Task, start: Reconstructed) -> dict[str, list[Codes]]:
    """Other roundings of each layer that was rounded to the nearest, by its weight's name."""
    layers = find_layers(start.model, task.weights)
    names = [name for name in start.quantized if name in layers and name not in start.layers]
    values = initializer_values(start.model, names)
    return {
        name: sum_preserving_roundings(values[name], start.quantized[name], layers[name].linear)
        for name in names
    }


def choose_roundings(
    flat: CodeVector, others: Mapping[str, Sequence[Codes]], scored: Scored
) -> Codes:
    """The codes of a network, (codes,), some of whose layers are rounded in another way.

    Args:
        flat: the network as it is.
        others: roundings by weight.
        scored: scores networks; with None, what was found so far is returned.
    """

    def with_layers(codes: Codes, chosen: Mapping[str, Codes]) -> Codes:
        changed = codes.copy()
        for name, rounding in chosen.items():
            changed[flat.slices[name]] = rounding.ravel()
        return changed

    now = flat.codes
    most = max((len(pool) for pool in others.values()), default=0)
    alike = [
        with_layers(now, {name: pool[way] for name, pool in others.items() if way < len(pool)})
        for way in range(most)
    ]
    for turn, name in enumerate([None, *others]):
        candidates = [now, *alike]
        if name is not None:
            every = [flat.weights[name].codes, *others[name]]
            candidates = [now, *(with_layers(now, {name: rounding}) for rounding in every)]
        fitness = scored(candidates, turn)
        if fitness is None:
            break
        now = candidates[int(np.argmin(np.where(np.isnan(fitness), np.inf, fitness)))]
    return now
