"""What the errors of a layer's columns count, and the power of its output, in the float model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays, Float32Array, Float64Array, Indices
from onnx_evoq.batch import Batch, mean_length
from onnx_evoq.engine.frontier import Frontier
from onnx_evoq.engine.samples import entries_of
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import shared_power
from onnx_evoq.model import Layer, Network
from onnx_evoq.parallel import in_order
from onnx_evoq.progress import Progress, silent
from onnx_evoq.quantize import unexplained_power
from onnx_evoq.setup import Resources, workers_of

_VALUES_TOGETHER = 2**21  # of columns whose products are computed at a time
_COLUMNS_TOGETHER = 1024  # of a wide layer, whose Hessian as a whole would take too long


@dataclass(frozen=True, eq=False)
class LayerPower:
    """The power of a layer's columns and of its output.

    With a bias, means do not count.

    Attributes:
        name: of the layer's output.
        columns: (groups, columns), the power of each column that columns of less power, among those
            beside it, do not explain.
        whole: (groups, columns), the power of each column.
        output: (groups, rows), the power of each channel of the output, or their mean where they
            are alike.
    """

    name: str
    columns: Float64Array
    whole: Float64Array
    output: Float64Array


def layer_powers(
    model: Network,
    layers: Mapping[str, Layer],
    batches: Sequence[Batch],
    rng: np.random.Generator,
    positions: int,
    resources: Resources,
    memory: int,
    progress: Progress = silent,
) -> dict[str, LayerPower]:
    """Measure the power of the columns and of the output of each layer.

    Args:
        model: the model.
        layers: its layers by weight, in the graph's order.
        batches: the samples.
        rng: draws positions, the same for all samples of one shape.
        positions: the most positions of all samples together.
        resources: what the runs may use.
        memory: bytes of activations that may be kept.
        progress: shows how many layers are done.

    Returns:
        The powers by weight. A layer is left out if its output is no tensor of the model, or if a
        tensor is no array, does not have the axes of the layer, or is not finite.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    powers = {}
    frontier = Frontier(batches, resources, memory // 4, len(batches))
    names = list(layers)
    samples = sum(batch.count for batch in batches)
    with progress("layer powers", len(layers)) as step:
        for index, (name, layer) in enumerate(layers.items()):
            try:
                behind = names[index + 1 :]
                power = _power(
                    frontier, model, layer, behind, batches, rng, positions / samples, resources
                )
            except ModelError:  # a tensor is no array
                power = None
            if power is not None:
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
) -> LayerPower | None:
    """The powers of one layer; None if they cannot be gathered."""
    if layer.output is None:
        return None
    weight = next(tuple(t.dims) for t in model.graph.initializer if t.name == layer.weight)
    name, linear, mean = layer.output, layer.linear, mean_length(batches)
    ahead = frontier.ahead(model, behind, [layer.input, name])
    values, output = ahead.first[layer.input], ahead.first[name]
    if not linear.fits(values.shape, output.shape, weight):
        return None
    everywhere = linear.positions(output.shape)
    if not everywhere:
        return None
    has_samples = linear.has_samples(output.shape)
    seed = None if len({batch.group for batch in batches}) == 1 else int(rng.integers(2**63))

    def wanted(output: tuple[int, ...], batch: Batch) -> float:
        return per_sample / entries_of(layer, output, batch) * batch.length / mean

    at_first = _drawn(everywhere, wanted(output.shape, batches[0]), rng)

    def pair(tensors: Arrays, batch: Batch) -> tuple[Float32Array, Float32Array]:
        values, output, at = tensors[layer.input], tensors[name], at_first
        if seed is not None:
            own = np.random.default_rng(seed)
            at = _drawn(linear.positions(output.shape), wanted(output.shape, batch), own)
        real = batch.count if has_samples and len(values) == batch.size else len(values)
        columns = linear.columns(values[:real], at, output.shape)
        return columns, linear.outputs(output[:real], at)

    # Minus the means of the first batch if means do not count, so that no large mean hides a small
    # variance.
    centred = layer.bias is not None
    with np.errstate(over="ignore", invalid="ignore"):
        origins = [
            each.mean(axis=1, keepdims=True) if centred else np.zeros_like(each[:, :1])
            for each in pair(ahead.first, batches[0])
        ]

    def work(index: int) -> tuple[Arrays, list[Float32Array]]:
        tensors = ahead.of(index)
        both = zip(pair(tensors, batches[index]), origins, strict=True)
        with np.errstate(over="ignore", invalid="ignore"):
            return tensors, [x - origin for x, origin in both]

    total: _Sums | None = None
    together: list[list[Float32Array]] = []  # columns and outputs of some batches
    for index, (tensors, both) in enumerate(
        in_order(work, range(frontier.count), workers_of(resources)), 1
    ):
        ahead.keep(tensors)
        together.append(both)
        size = sum(columns.size for columns, _ in together)
        if size >= _VALUES_TOGETHER or index == frontier.count:
            with np.errstate(over="ignore", invalid="ignore"):
                sums = _Sums.of(
                    *(np.concatenate(parts, 1) for parts in zip(*together, strict=True))
                )
                total = sums if total is None else total.plus(sums)
            together = []
    ahead.done()
    return None if total is None else total.power(name, centred=centred)


def _drawn(everywhere: int, wanted: float, rng: np.random.Generator) -> Indices:
    """About `wanted` of the positions, at least 1, in their order."""
    count = int(np.clip(round(wanted), 1, everywhere))
    return np.sort(rng.choice(everywhere, count, replace=False, shuffle=False))


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the positions of some batches, of columns and outputs minus their origins.

    Attributes:
        count: number of positions.
        x: sum of columns, (groups, columns).
        xx: sums of x x^T of some columns that follow each other, (groups, some, some) each.
        t: sum of outputs, (groups, rows).
        tt: sum of their squares, (groups, rows).
    """

    count: int
    x: Float64Array
    xx: tuple[Float64Array, ...]
    t: Float64Array
    tt: Float64Array

    @classmethod
    def of(cls, columns: Float32Array, outputs: Float32Array) -> "_Sums":
        """The sums of one batch, (groups, positions, columns) and (groups, positions, rows)."""
        starts = range(0, columns.shape[2], _COLUMNS_TOGETHER)
        parts = [columns[:, :, start : start + _COLUMNS_TOGETHER] for start in starts]
        return cls(
            columns.shape[1],
            columns.sum(axis=1, dtype=np.float64),
            tuple((x.transpose(0, 2, 1) @ x).astype(np.float64) for x in parts),
            outputs.sum(axis=1, dtype=np.float64),
            np.square(outputs).sum(axis=1, dtype=np.float64),
        )

    def plus(self, other: "_Sums") -> "_Sums":
        """The sums of both."""
        return _Sums(
            self.count + other.count,
            self.x + other.x,
            tuple(one + two for one, two in zip(self.xx, other.xx, strict=True)),
            self.t + other.t,
            self.tt + other.tt,
        )

    def power(self, name: str, *, centred: bool) -> LayerPower | None:
        """The powers, less those of the means if `centred`; None if they cannot be computed."""
        x_mean, t_mean, start = self.x / self.count, self.t / self.count, 0
        unexplained, whole = list[Float64Array](), list[Float64Array]()
        if not all(np.isfinite(each).all() for each in (*self.xx, self.tt)):
            return None
        for sums in self.xx:
            mean = x_mean[:, start : start + sums.shape[1]]
            start += sums.shape[1]
            hessian = sums / self.count
            if centred:
                hessian -= mean[:, :, None] * mean[:, None, :]
            try:
                unexplained.append(unexplained_power(hessian))
            except np.linalg.LinAlgError:  # float32 lost the small eigenvalues beside a large one
                return None
            whole.append(np.maximum(np.diagonal(hessian, axis1=1, axis2=2), 0))
        output = self.tt / self.count - (np.square(t_mean) if centred else 0)
        return LayerPower(
            name,
            np.concatenate(unexplained, axis=1),
            np.concatenate(whole, axis=1),
            shared_power(np.maximum(output, 0)),
        )
