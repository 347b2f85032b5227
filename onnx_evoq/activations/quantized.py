"""Quantize the activations of a model: where its operators take integers, on the best grids.

The inputs and the outputs of the model keep 8 bits where others have fewer: they are few, and users
feed and read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from onnx_evoq.activations.placement import Activations, place, with_float_weights
from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine import Frontier
from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    PRODUCTS,
    Layer,
    Model,
    as_network,
    at_the_ends,
    clip_limit_of,
    find_layers,
    find_weights,
    own_biases,
    prepared,
    quantized_activations,
    readers_of,
)
from onnx_evoq.quantize import ActivationGrid, Scale, best_activation_grid
from onnx_evoq.setup import Resources, Task

_SAMPLES = 64  # whose values choose the grids
_VALUES = 32_768  # of each activation, about
_LEAST_BITS_OUTSIDE = 8  # of the inputs and the outputs of the model


def quantize_activations(task: Task, bits: int, scale: Scale = "pow2") -> Activations:
    """Give the activations of a model the grids of least squared error.

    Args:
        task: the model, its weights and its samples.
        bits: width of the codes of activations, 2 to 16.
        scale: "pow2" for scales that are powers of two, "float" for any.

    Raises:
        ModelError: the model cannot be converted to the operator set that this needs, or is not
            of float32.
    """
    half = next((weight for weight in task.weights if weight.dtype != "float32"), None)
    if half is not None:
        raise ModelError(
            f"weight {half.name!r} is of {half.dtype}: export the model as float32 to quantize "
            "activations."
        )
    model = prepared(own_biases(task.model, task.bits), wide=bits > _LEAST_BITS_OUTSIDE)
    layers = find_layers(model, task.weights)
    float_nodes = _float_nodes(model, task, layers)
    found = place(model, {}, {}, float_nodes, float_outputs=False)
    tensors, outside = quantized_activations(found), set.union(*at_the_ends(found))
    sharing: dict[str, list[str]] = {}  # by scale, the one that it is named after first
    for tensor in tensors:
        sharing.setdefault(tensor.scale, []).append(tensor.name)
    wide = {tensor.scale for tensor in tensors if tensor.name in outside}
    names = [tensor.name for tensor in tensors]
    values = _values_of(model, names, task.search_set.batches, task.resources)
    grids: dict[str, ActivationGrid] = {}
    for shared, together in sharing.items():
        own = max(bits, _LEAST_BITS_OUTSIDE) if shared in wide else bits
        limit = max(clip_limit_of(model, name) for name in together)
        grid = best_activation_grid([values[name] for name in together], own, scale, limit)
        grids.update(dict.fromkeys(together, grid))
    biases = [layer.bias for layer in layers.values() if layer.bias is not None]
    floats = [*(weight.name for weight in task.weights), *biases]
    placed = with_float_weights(model, grids, floats, float_nodes)
    return replace(placed, seen=values)


def _float_nodes(model: Model, task: Task, layers: Mapping[str, Layer]) -> list[str]:
    """The nodes that stay float: those of weights that do, and what adds the bias of a MatMul.

    An addition of integers would give that bias 8 bits. A weight that is in no product (a table)
    becomes integers by itself.
    """
    quantized = {weight.name for weight in task.weights}
    kept = {weight.name for weight in find_weights(model)[0]} - quantized
    outputs = {layer.output for layer in layers.values()}
    adding = [n.name for n in model.graph.node if n.op_type == "Add" and n.output[0] in outputs]
    reading = set(readers_of(model, quantized))
    tables = [n.name for n in model.graph.node if n.name in reading and n.op_type not in PRODUCTS]
    return [*readers_of(model, kept), *adding, *tables]


def _values_of(
    model: Model, names: Sequence[str], batches: Sequence[Batch], resources: Resources
) -> dict[str, Float32Array]:
    """Some values of activations in the float model, (n,) by name."""
    some: list[Batch] = []
    for batch in batches:
        if sum(each.count for each in some) >= _SAMPLES:
            break
        some.append(batch)
    ahead = Frontier(some, resources, 0, len(some)).ahead(as_network(model), [], names)
    drawn: dict[str, list[Array]] = {name: [] for name in names}
    for index in range(len(some)):
        tensors = ahead.of(index)
        for name in names:
            flat = np.asarray(tensors[name], np.float32).reshape(-1)
            drawn[name].append(flat[:: _step(flat.size, len(some))])
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def _step(size: int, batches: int) -> int:
    """The distance of the values that are taken of a tensor, so that they are from all over it.

    It has no common divisor with the size, and so with none of the axes.
    """
    step = max(1, size * batches // _VALUES)
    while gcd(step, size) > 1:
        step += 1
    return step
