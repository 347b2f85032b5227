"""Quantize the activations of a model: where its operators take integers, on the best grids.

The inputs and the outputs of the model keep 8 bits where others have fewer: they are few, and users
feed and read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import gcd, inf

import numpy as np

from onnx_evoq.activations.placement import Activations, place, with_float_weights
from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine import Frontier
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import largest_difference
from onnx_evoq.model import (
    Layer,
    Model,
    as_network,
    at_the_ends,
    clip_limit_of,
    find_layers,
    find_weights,
    float_nodes,
    makers_and_readers_of,
    opset_of,
    own_biases,
    prepared,
    products_in_bodies,
    quantized_activations,
)
from onnx_evoq.quantize import ActivationGrid, Scale, best_activation_grid
from onnx_evoq.setup import Resources, Task, check_all_float, run_model

_SAMPLES = 64  # whose values choose the grids
_VALUES = 32_768  # of each activation, about
_ROUNDS = 5  # in which nodes of wild values may turn float, and leave others wild
_WILD = 1e6  # which no usual activation reaches, nor so many times their median
_LEAST_BITS_OUTSIDE = 8  # of the inputs and the outputs of the model
_OPSET_OF_16_BITS = 21
_CONVERTED = 1e-4  # of the largest output, by which one of another operator set may differ


def quantize_activations(task: Task, bits: int, scale: Scale = "pow2") -> Activations:
    """Give the activations of a model the grids of least squared error.

    Args:
        task: the model, its weights and its samples.
        bits: width of the codes of activations, 2 to 16.
        scale: "pow2" for scales that are powers of two, "float" for any.

    Raises:
        ModelError: the model cannot be converted to the operator set that this needs, is not of
            float32, has integer activations already, or none that integers can hold.
    """
    check_all_float(task.model, "option activations", weights=False)
    half = next((weight for weight in task.weights if weight.dtype != "float32"), None)
    if half is not None:
        raise ModelError(
            f"weight {half.name!r} is of {half.dtype}: export the model as float32 to quantize "
            "activations."
        )
    least = _OPSET_OF_16_BITS if bits > _LEAST_BITS_OUTSIDE else 0
    model = _prepared(task, least)
    layers = find_layers(model, task.weights)
    staying = _float_nodes(model, task, layers)
    for _ in range(_ROUNDS):
        found, values = _seen(model, task, staying)
        wild = [name for name, seen in values.items() if _is_wild(seen)]
        if not wild:
            break
        staying = sorted({*staying, *makers_and_readers_of(model, wild)})
    else:
        raise ModelError(
            f"activation {wild[0]!r} holds values that are not finite, or far from all others: "
            "integers cannot hold them."
        )
    tensors, outside = quantized_activations(found), set.union(*at_the_ends(found))
    if not tensors:
        inner = products_in_bodies(model)
        why = f", as {inner[0]!r} and the like stand in the bodies of others" if inner else ""
        raise ModelError(f"no operator of the model takes integers{why}: leave activations out.")
    sharing: dict[str, list[str]] = {}  # by scale, the one that it is named after first
    for tensor in tensors:
        sharing.setdefault(tensor.scale, []).append(tensor.name)
    grids: dict[str, ActivationGrid] = {}
    code_type = task.target.code_type
    for together in sharing.values():
        own = bits if outside.isdisjoint(together) else max(bits, _LEAST_BITS_OUTSIDE)
        # A symmetric code is no limit, so that the Clip stays in the graph.
        limit = inf if code_type == "symmetric" else clip_limit_of(model, together[0])
        grid = best_activation_grid(
            [values[name] for name in together], own, scale, limit, code_type,
            free_zero_point=task.target.free_zero_points,
        )  # fmt: skip
        grids.update(dict.fromkeys(together, grid))
    biases = [layer.bias for layer in layers.values() if layer.bias is not None]
    floats = [*(weight.name for weight in task.weights), *biases]
    placed = with_float_weights(model, grids, floats, staying, task.target)
    return replace(placed, seen=values)


def _prepared(task: Task, least: int) -> Model:
    """The float model with the operator set of the target, or the least one that it needs.

    Not all operators can be converted, and not all are converted rightly.

    Args:
        task: the model, its samples and the target.
        least: the least operator set that activations need.
    """
    model = own_biases(task.model, task.bits)
    if task.target.opset <= max(least, opset_of(model)):
        return prepared(model, least)
    batch = task.few or task.search_set.batches[0]
    try:
        converted = prepared(model, task.target.opset)
        before, after = (next(run_model(m, [batch], task.resources)) for m in (model, converted))
    except ModelError:
        return prepared(model, least)
    return converted if largest_difference(after, before) <= _CONVERTED else prepared(model, least)


def _float_nodes(model: Model, task: Task, layers: Mapping[str, Layer]) -> list[str]:
    """The nodes that stay float: those of `float_nodes`, and what adds the bias of a MatMul.

    An addition of integers would give that bias 8 bits.
    """
    quantized = {weight.name for weight in task.weights}
    kept = {weight.name for weight in find_weights(model)[0]} - quantized
    outputs = {layer.output for layer in layers.values()}
    adding = [n.name for n in model.graph.node if n.op_type == "Add" and n.output[0] in outputs]
    return sorted({*float_nodes(model, quantized, kept), *adding})


def _seen(
    model: Model, task: Task, staying: Sequence[str]
) -> tuple[Model, dict[str, Float32Array]]:
    """Where Q and DQ are placed, and some values of each activation in the float model."""
    found = place(model, {}, {}, staying, task.target, float_outputs=False)
    names = [tensor.name for tensor in quantized_activations(found)]
    values = _values_of(model, names, task.search_set.batches, task.resources) if names else {}
    return found, values


def _is_wild(seen: Float32Array) -> bool:
    """Whether values are not finite, or a few are so large that codes would hold nothing else."""
    if not seen.size or not seen.any():
        return False
    if not np.isfinite(seen).all():
        return True
    sizes = np.abs(seen[seen != 0])
    return bool(sizes.max() > _WILD * max(1.0, float(np.median(sizes))))


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
