"""The power of each column that a layer multiplies, which is the diagonal of its Hessian."""

from collections.abc import Mapping, Sequence

import numpy as np

from onnx_evoq.array_types import Arrays, Float64Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine.frontier import Frontier
from onnx_evoq.engine.layer_samples import entries_per_sample
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Network
from onnx_evoq.parallel import in_order
from onnx_evoq.progress import Progress, silent
from onnx_evoq.setup import Resources, cache_memory, workers_of


def column_powers(
    model: Network,
    layers: Mapping[str, Layer],
    batches: Sequence[Batch],
    rng: np.random.Generator,
    positions: int,
    resources: Resources,
    progress: Progress = silent,
) -> dict[str, Float64Array]:
    """Measure the power of the columns of each layer, less that of their means for a bias.

    Args:
        model: the model.
        layers: its layers by weight, in the graph's order.
        batches: the samples.
        rng: draws positions, the same for all samples.
        positions: the most positions of all samples together.
        resources: what the runs may use.
        progress: shows how many layers are done.

    Returns:
        (groups, columns) by weight. A layer is left out if a tensor is no array, does not hold one
        entry per sample along its first axis, or is not finite.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    powers = {}
    frontier = Frontier(batches, resources, cache_memory(resources) // 4, len(batches))
    names = list(layers)
    samples = sum(batch.count for batch in batches)
    with progress("column powers", len(layers)) as step:
        for index, (name, layer) in enumerate(layers.items()):
            try:
                behind = names[index + 1 :]
                power = _power(
                    frontier, model, layer, behind, batches, rng, positions / samples, resources
                )
            except ModelError:  # a tensor is no array
                power = None
            if power is not None and np.isfinite(power).all():
                powers[name] = power
            step(1)
    return powers


def _power(
    frontier: Frontier,
    model: Network,
    layer: Layer,
    behind: Sequence[str],
    batches: Sequence[Batch],
    rng: np.random.Generator,
    per_sample: float,
    resources: Resources,
) -> Float64Array | None:
    """The power of one layer's columns; None if they cannot be gathered."""
    ahead, linear = frontier.ahead(model, behind, [layer.input, layer.output]), layer.linear
    values, output = ahead.first[layer.input], ahead.first[layer.output]
    if not linear.has_samples(values.shape) or len(values) != len(output):
        return None
    everywhere = linear.positions(output.shape)
    if not everywhere:
        return None
    entries = entries_per_sample(values, batches[0])
    count = int(np.clip(round(per_sample / entries), 1, everywhere))
    at = np.sort(rng.choice(everywhere, count, replace=False, shuffle=False))

    def work(index: int) -> tuple[Arrays, int, Float64Array, Float64Array]:
        tensors = ahead.of(index)
        values, batch = tensors[layer.input], batches[index]
        real = batch.count if len(values) == batch.size else len(values)
        columns = linear.columns(values[:real], at, output.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = columns.mean(axis=1, dtype=np.float64)
            square = np.square(columns).mean(axis=1, dtype=np.float64)
        return tensors, columns.shape[1], mean, square

    total, means, squares = 0, np.zeros(1), np.zeros(1)
    done = in_order(work, range(frontier.count), workers_of(resources))
    for tensors, taken, mean, square in done:
        ahead.keep(tensors)
        total, means, squares = total + taken, means + taken * mean, squares + taken * square
    ahead.done()
    if layer.bias is None:
        return squares / total
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.maximum(squares / total - np.square(means / total), 0))
