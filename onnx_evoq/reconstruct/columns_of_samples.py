"""The columns of a layer by sample: their means, and their covariance within samples."""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays, Float32Array, Float64Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine import LayerActivations, drawn_positions, output_shape
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Runnable

_POSITIONS_PER_SAMPLE = 64  # the most positions of a sample that columns are gathered from


def columns_of_samples(
    activations: LayerActivations,
    model: Runnable,
    layer: Layer,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[Float64Array, Float64Array] | None:
    """Gather a layer's columns at positions drawn at random.

    Args:
        activations: of the model.
        model: the model with its present weights.
        layer: the layer.
        shape: of its weight.
        rng: draws positions.

    Returns:
        The mean columns of each sample, (samples, groups, columns), and their covariance within
        samples, (groups, columns, columns). None if a tensor is no array, or does not hold one
        entry per sample.

    Raises:
        StorageError: a disk has no room for activations that do not fit into memory.
    """
    names = [layer.input] if layer.output is None else [layer.input, layer.output]
    seeds = rng.integers(2**63, size=len(activations.batches)).tolist()
    means: list[Float64Array] = []
    products, positions = np.zeros((1, 1, 1)), 0
    try:
        tensors = activations.at(model, layer, names)
        for found in tensors.map(ColumnsOfBatch(layer, shape), seeds):
            if found is None:
                return None
            means.append(found[0].astype(np.float64))
            products, positions = products + found[1], positions + found[2]
    except ModelError:  # a tensor is no array
        return None
    return np.concatenate(means), products / positions


@dataclass(frozen=True, eq=False)
class ColumnsOfBatch:
    """Gathers the columns of a layer, of one batch at a time.

    Attributes:
        layer: the layer.
        shape: of its weight.
    """

    layer: Layer
    shape: tuple[int, ...]

    def __call__(
        self, tensors: Arrays, batch: Batch, seed: int
    ) -> tuple[Float32Array, Float32Array, int] | None:
        """The columns of a batch at positions drawn at random.

        Args:
            tensors: those at the layer, by name.
            batch: the samples.
            seed: of the positions.

        Returns:
            The mean columns of each sample, (samples, groups, columns), the products of their
            differences from these, (groups, columns, columns), and the number of positions. None if
            a tensor does not hold one entry per sample.
        """
        linear, values = self.layer.linear, np.asarray(tensors[self.layer.input], np.float32)
        shape = output_shape(self.layer, self.shape, tensors)
        fits = linear.fits(values.shape, shape, self.shape)
        if not fits or not linear.has_samples(shape) or shape[0] != batch.size:
            return None
        everywhere = linear.positions(shape)
        count = min(everywhere, _POSITIONS_PER_SAMPLE)
        at = drawn_positions(everywhere, count, np.random.default_rng(seed))
        columns = linear.columns(values[: batch.count], at, shape)
        groups, _, width = columns.shape
        by_sample = columns.reshape(groups, batch.count, count, width)
        mean = by_sample.mean(axis=2)  # (groups, samples, columns)
        centred = (by_sample - mean[:, :, None]).reshape(columns.shape)
        products = np.stack([part.T @ part for part in centred])
        return mean.transpose(1, 0, 2), products, centred.shape[1]
