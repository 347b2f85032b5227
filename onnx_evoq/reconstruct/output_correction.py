"""Choose codes again by what they do to the end of the network (`quantize.correct_codes`).

Layers are taken in the graph's order. For each of them

1. each channel's bias is shifted and what follows is run, which gives the Jacobian J of the outputs
   (sketched, where they are many);
2. the columns' means, sample by sample, and their covariance within samples are gathered from the
   model as it is by then;
3. new codes and a new bias follow in closed form from the search set, and are kept if they lower
   the fitness on the held-out set.

Passes follow each other while time is left and one gains enough. A layer whose channels would take
longer to probe than its share of the time is passed over.
"""

from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.engine import (
    ActivationCache,
    Evaluators,
    LayerTensors,
    Sketch,
    float_outputs,
    jacobian_of_bias,
)
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Model, find_layers, initializer_values, replace_weights
from onnx_evoq.quantize import (
    LinearizedOutput,
    QuantizedWeight,
    Reconstruction,
    correct_codes,
    row_grid,
)
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed
from onnx_evoq.run import Deadline, Stopped, until_interrupted
from onnx_evoq.setup import Task

WITHIN_SHARES = (0.5, 2.0)  # of `correct_codes`, until one is accepted
_POSITIONS_PER_SAMPLE = 64  # of a sample, at most
_WORK = 2e12  # products that a layer may cost
_MOST = 2**27  # values of a Jacobian
_PASSES = 3
_GAIN = 0.01  # share of the fitness that a pass must gain for another one


def correct_outputs(
    task: Task, start: Reconstructed, rng: np.random.Generator
) -> tuple[Reconstructed, int, Stopped | None]:
    """Codes and biases that are better for the end of the network.

    Also how many candidates were run, and why not all was done; None if it was.

    Args:
        task: what there is to do.
        start: a reconstruction.
        rng: draws positions and directions.
    """
    now, evaluations, stopped = start, 0, None
    if not float_outputs(task.search_set):
        return now, evaluations, stopped
    layers = [
        layer
        for name, layer in find_layers(start.model, task.weights).items()
        if name in start.layers and layer.bias is not None
    ]
    sketch = Sketch(task.search_set, rng)
    evaluators = Evaluators([task.search_set], task.resources, share=0.5)
    cache = ActivationCache(task.search_set.batches, task.resources, share=0.5)
    fitness = task.fitness(now.emitted)
    with until_interrupted() as interruption:
        for turn in range(_PASSES):
            before = fitness
            with task.progress(f"steering {turn + 1}", len(layers)) as step:
                for index, layer in enumerate(layers):
                    due = task.deadline.share(len(layers) - index)
                    known, ran, done = _linearized(
                        task, evaluators, cache, now, layer, sketch, due, rng
                    )
                    evaluations += ran
                    stopped = stopped if done else Stopped.TIME
                    for share in WITHIN_SHARES:
                        if known is None:
                            break
                        tried = _corrected(now, layer, known, share)
                        value = task.fitness(tried.emitted)
                        if value < fitness and task.allows(tried.emitted):
                            now, fitness = tried, value
                            break
                    step(1)
            if task.deadline.passed or not before - fitness > _GAIN * abs(before):
                break
    return now, evaluations, interruption.reason or stopped


def _linearized(
    task: Task,
    evaluators: Evaluators,
    cache: ActivationCache,
    now: Reconstructed,
    layer: Layer,
    sketch: Sketch,
    deadline: Deadline,
    rng: np.random.Generator,
) -> tuple[LinearizedOutput | None, int, bool]:
    """What is known of a layer, how many candidates were run for it, and whether time sufficed."""
    assert layer.bias is not None
    found, emitted = now.layers[layer.weight], now.emitted
    bias = initializer_values(now.model, [layer.bias])[layer.bias]
    if not _affordable(task, layer, found, bias.size * sketch.size):
        return None, 0, True
    if deadline.passed:
        return None, 0, False
    (evaluator,) = evaluators.at(emitted, layer.bias)
    probed = jacobian_of_bias(evaluator, layer.bias, bias, found.spread, sketch, deadline)
    if probed is None:
        return None, evaluator.evaluations, False
    columns = _columns(task, cache, emitted, layer, rng)
    known = None if columns is None else LinearizedOutput(*columns, *probed)
    return known, evaluator.evaluations, True


def _affordable(task: Task, layer: Layer, found: Reconstruction, outputs: int) -> bool:
    groups, rows, columns = layer.linear.matrix(found.best_weight).shape
    samples = task.search_set.samples
    work = groups * rows * columns**2 * (samples + columns)
    return work <= _WORK and samples * outputs <= _MOST


def _columns(
    task: Task, cache: ActivationCache, emitted: Model, layer: Layer, rng: np.random.Generator
) -> tuple[Float64Array, Float64Array] | None:
    """Means of columns by sample, (samples, groups, columns), and their covariance within samples.

    None where the layer's input does not hold one entry per sample.
    """
    batches = task.search_set.batches
    try:
        tensors = LayerTensors(cache, emitted, layer, [layer.input, layer.output], batches)
    except ModelError:  # what crosses is no array
        return None
    means: list[Float32Array] = []
    within: Float64Array | None = None
    seen = 0
    for index, batch in enumerate(batches):
        each = tensors.of(index)
        values, shape = np.asarray(each[layer.input], np.float32), each[layer.output].shape
        if len(values) != batch.size or shape[0] != batch.size:
            return None
        everywhere = layer.linear.positions(shape)
        count = min(everywhere, _POSITIONS_PER_SAMPLE)
        at = np.sort(rng.choice(everywhere, count, replace=False, shuffle=False))
        columns = layer.linear.columns(values[: batch.count], at, shape)
        groups, _, width = columns.shape
        by_sample = columns.reshape(groups, batch.count, count, width)
        mean = by_sample.mean(axis=2)  # (groups, samples, columns)
        rest = (by_sample - mean[:, :, None]).reshape(columns.shape)
        square = np.stack([part.T @ part for part in rest]).astype(np.float64)
        within = square if within is None else within + square
        seen += rest.shape[1]
        means.append(mean.transpose(1, 0, 2))
    assert within is not None
    return np.concatenate(means).astype(np.float64), within / seen


def _corrected(
    now: Reconstructed,
    layer: Layer,
    known: LinearizedOutput,
    share: float,
) -> Reconstructed:
    assert layer.bias is not None
    bias = initializer_values(now.model, [layer.bias])[layer.bias]
    codes, grid = now.quantized[layer.weight]
    linear = layer.linear
    matrix, moves = correct_codes(
        linear.matrix(codes).astype(np.float64),
        linear.matrix(now.layers[layer.weight].best_weight).astype(np.float64),
        row_grid(grid, linear, codes.shape),
        known,
        share,
    )
    weight = QuantizedWeight(linear.weight(matrix, codes.shape).astype(np.int8), grid)
    moved = bias + moves.reshape(bias.shape).astype(np.float32)
    return replace(
        now,
        model=replace_weights(now.model, {layer.bias: moved}),
        quantized={**now.quantized, layer.weight: weight},
    )
