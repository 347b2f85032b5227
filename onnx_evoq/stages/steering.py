"""Choose codes again by what they do to the end of the network (`quantize.steer`).

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
from numpy.typing import NDArray

from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    Layer,
    Model,
    find_layers,
    initializer_values,
    replace_weights,
)
from onnx_evoq.quantize import (
    QuantizedWeight,
    Reconstruction,
    Steering,
    row_limits,
    row_steps,
    steer,
)
from onnx_evoq.run import Deadline
from onnx_evoq.stages.engine import Engine
from onnx_evoq.stages.front import Front
from onnx_evoq.stages.probing import probe
from onnx_evoq.stages.reconstruction import Reconstructed
from onnx_evoq.stages.samples import LayerTensors
from onnx_evoq.stages.sketch import Sketch, float_outputs
from onnx_evoq.stages.task import Task

Floats = NDArray[np.float64]

SHARES = (0.5, 2.0)  # of `steer`, until one is accepted
_POSITIONS = 64  # of a sample, at most
_WORK = 2e12  # products that a layer may cost
_MOST = 2**27  # values of a Jacobian
_PASSES = 3
_GAIN = 0.01  # share of the fitness that a pass must gain for another one


def steer_layers(
    task: Task, start: Reconstructed, rng: np.random.Generator
) -> tuple[Reconstructed, int, str | None]:
    """Codes and biases that are better for the end of the network.

    Also how many candidates were run, and why not all was done: "time" or "interrupt", else None.

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
    engine = Engine([task.search_set], task.resources, share=0.5)
    front = Front(task.search_set.batches, task.resources, share=0.5)
    fitness = task.fitness(now.emitted)
    try:
        for turn in range(_PASSES):
            before = fitness
            with task.progress(f"steering {turn + 1}", len(layers)) as step:
                for place, layer in enumerate(layers):
                    due = task.deadline.share(len(layers) - place)
                    known, ran, done = _probed(task, engine, front, now, layer, sketch, due, rng)
                    evaluations += ran
                    stopped = stopped if done else "time"
                    for share in SHARES:
                        if known is None:
                            break
                        tried = _steered(now, layer, known, share)
                        value = task.fitness(tried.emitted)
                        if value < fitness and task.allows(tried.emitted):
                            now, fitness = tried, value
                            break
                    step(1)
            if task.deadline.passed or not before - fitness > _GAIN * abs(before):
                break
    except KeyboardInterrupt:  # what was found by then is worth keeping
        stopped = "interrupt"
    return now, evaluations, stopped


def _probed(
    task: Task,
    engine: Engine,
    front: Front,
    now: Reconstructed,
    layer: Layer,
    sketch: Sketch,
    deadline: Deadline,
    rng: np.random.Generator,
) -> tuple[Steering | None, int, bool]:
    """What is known of a layer, how many candidates were run for it, and whether time sufficed."""
    assert layer.bias is not None
    found, emitted = now.layers[layer.weight], now.emitted
    bias = initializer_values(now.model, [layer.bias])[layer.bias]
    if not _affordable(task, layer, found, bias.size * sketch.size):
        return None, 0, True
    if deadline.passed:
        return None, 0, False
    (evaluator,) = engine.evaluators(emitted, layer.bias)
    probed = probe(evaluator, layer.bias, bias, found.spread, sketch, deadline)
    if probed is None:
        return None, evaluator.evaluations, False
    columns = _columns(task, front, emitted, layer, rng)
    known = None if columns is None else Steering(*columns, *probed)
    return known, evaluator.evaluations, True


def _affordable(task: Task, layer: Layer, found: Reconstruction, outputs: int) -> bool:
    groups, rows, columns = layer.linear.matrix(found.aim).shape
    samples = task.search_set.samples
    work = groups * rows * columns**2 * (samples + columns)
    return work <= _WORK and samples * outputs <= _MOST


def _columns(
    task: Task, front: Front, emitted: Model, layer: Layer, rng: np.random.Generator
) -> tuple[Floats, Floats] | None:
    """Means of columns by sample, (samples, groups, columns), and their covariance within samples.

    None where the layer's input does not hold one entry per sample.
    """
    batches = task.search_set.batches
    try:
        tensors = LayerTensors(front, emitted, layer, [layer.input, layer.output], batches)
    except ModelError:  # what crosses is no array
        return None
    means: list[NDArray[np.float32]] = []
    within: Floats | None = None
    seen = 0
    for place, batch in enumerate(batches):
        each = tensors.of(place)
        values, shape = np.asarray(each[layer.input], np.float32), each[layer.output].shape
        if len(values) != batch.size or shape[0] != batch.size:
            return None
        everywhere = layer.linear.positions(shape)
        count = min(everywhere, _POSITIONS)
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


def _steered(
    now: Reconstructed,
    layer: Layer,
    known: Steering,
    share: float,
) -> Reconstructed:
    assert layer.bias is not None
    bias = initializer_values(now.model, [layer.bias])[layer.bias]
    codes, grid = now.quantized[layer.weight]
    linear = layer.linear
    matrix, moves = steer(
        linear.matrix(codes).astype(np.float64),
        linear.matrix(now.layers[layer.weight].aim).astype(np.float64),
        row_steps(grid, linear, codes.shape),
        known,
        *row_limits(grid, linear, codes.shape),
        share,
    )
    weight = QuantizedWeight(linear.weight(matrix, codes.shape).astype(np.int8), grid)
    moved = bias + moves.reshape(bias.shape).astype(np.float32)
    return replace(
        now,
        model=replace_weights(now.model, {layer.bias: moved}),
        quantized={**now.quantized, layer.weight: weight},
    )
