"""Tie the layers that share a weight.

1. Those are tied for which the weight becomes the same matrix. If it becomes several matrices, as
   of a layer and its transpose, the one of most layers counts, and of as many the last one. Each of
   its rows must lie in one channel of the weight, which may have a step of its own.
2. The target of a layer is no residual sum whose other term depends on the weight itself: each use
   would repair once more what the uses before it repair already. On chains of residual blocks with
   shared weights, that made errors half as large again.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
from onnx import GraphProto

from onnx_evoq.array_types import Indices
from onnx_evoq.model.graph import Runnable, reads
from onnx_evoq.model.layers.layer import Layer
from onnx_evoq.model.weights import Weight


def tied(model: Runnable, layers: Sequence[Layer], weight: Weight) -> Layer | None:
    """The first of the layers with one weight that are tied, with the others.

    Args:
        model: the model.
        layers: the layers with the weight, in the graph's order.
        weight: the weight, which other nodes may read, too.

    Returns:
        None if a row of no matrix lies in one channel of the weight.
    """
    numbers = np.arange(prod(weight.shape), dtype=np.int32).reshape(weight.shape)
    alike: list[tuple[Indices, list[Layer]]] = []
    for layer in layers:
        matrix = layer.linear.matrix(numbers)
        found = next((group for known, group in alike if np.array_equal(known, matrix)), None)
        if found is not None:
            found.append(layer)
        elif _has_a_channel_for_each_row(layer, weight):
            alike.append((matrix, [layer]))
    if not alike:
        return None
    _, chosen = max(reversed(alike), key=lambda each: len(each[1]))  # rule 1
    depending = _depending(model.graph, weight.name)
    first, *others = (_without_own_sum(layer, depending) for layer in chosen)
    return replace(first, tied=tuple(others))


def _has_a_channel_for_each_row(layer: Layer, weight: Weight) -> bool:
    """Whether each row of a layer's matrix lies in one channel of the weight, if it has any."""
    if weight.axis is None:
        return True
    along = np.indices(weight.shape, sparse=True)[weight.axis].astype(np.int32)
    channels = layer.linear.matrix(np.broadcast_to(along, weight.shape))
    return bool((channels == channels[:, :, :1]).all())


def _depending(graph: GraphProto, name: str) -> dict[str, bool]:
    """Whether each tensor of a graph depends on an initializer."""
    found = {value.name: False for value in graph.input}
    found |= {tensor.name: tensor.name == name for tensor in graph.initializer}
    for node in graph.node:
        depends = any(found.get(each, False) for each in reads(node))
        found.update((output, depends) for output in node.output)
    return found


def _without_own_sum(layer: Layer, depending: dict[str, bool]) -> Layer:
    """Apply rule 2. What is shown of a body is taken to depend on the weight."""
    if layer.other is None or not depending.get(layer.other, True):
        return layer
    return replace(layer, sum=None, other=None, activation=None)
