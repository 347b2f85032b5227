"""Choose one of several roundings for each layer, by the output error of the whole network.

1. Each way of rounding is tried for all layers at once.
2. The layers are then visited in the graph's order. Each rounding of a layer is tried while all
   other layers keep the codes chosen so far, on other samples for each layer; the best one stays.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array
from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.model import find_layers, initializer_values
from onnx_evoq.quantize import sum_preserving_roundings
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.setup import Task

# (candidates, round) -> the fitness of each candidate on some of the samples, other ones in each
# round, (candidates,); None if time runs out before all candidates are scored.
Scorer = Callable[[Sequence[Codes], int], Float64Array | None]


def roundings(task: Task, start: QuantizedModel) -> dict[str, list[Codes]]:
    """List the sum-preserving roundings of each layer that starts from nearest rounding.

    Args:
        task: the weights.
        start: the codes of all weights; layers that were reconstructed are left out.

    Returns:
        By the name of the weight, codes of its shape.
    """
    layers = find_layers(start.model, task.weights)
    names = [name for name in start.quantized if name in layers and name not in start.layers]
    values = initializer_values(start.model, names)
    return {
        name: sum_preserving_roundings(values[name], start.quantized[name], layers[name].linear)
        for name in names
    }


def choose_roundings(
    start: CodeVector, others: Mapping[str, Sequence[Codes]], score: Scorer
) -> Codes:
    """Choose for each layer the rounding with the lowest fitness of the network.

    Args:
        start: the codes of the network.
        others: other roundings by weight.
        score: scores networks. Once it returns None, the codes chosen so far are returned.

    Returns:
        (codes,) the codes of the network.
    """

    def with_roundings(codes: Codes, chosen: Mapping[str, Codes]) -> Codes:
        changed = codes.copy()
        for name, rounding in chosen.items():
            changed[start.slices[name]] = rounding.ravel()
        return changed

    best = start.codes
    ways = max((len(of_weight) for of_weight in others.values()), default=0)
    candidates = [best]
    for way in range(ways):
        same_way = {name: each[way] for name, each in others.items() if way < len(each)}
        candidates.append(with_roundings(best, same_way))
    for turn, name in enumerate([None, *others]):
        if name is not None:
            of_weight = [start.weights[name].codes, *others[name]]
            candidates = [best, *(with_roundings(best, {name: each}) for each in of_weight)]
        fitness = score(candidates, turn)
        if fitness is None:
            break
        best = candidates[int(np.argmin(np.where(np.isnan(fitness), np.inf, fitness)))]
    return best
