"""A layer that reads its weight in another shape, with its values in another order.

Where several layers share a weight, some may read it through a Transpose or a Reshape.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Indices
from onnx_evoq.quantize.weights.linear import Linear

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """A transposition, and a shape after it.

    Attributes:
        axes: for each axis, which one it is before.
        shape: the shape of the view.
    """

    axes: tuple[int, ...]
    shape: Shape

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The view of an array."""
        return values.transpose(self.axes).reshape(self.shape)

    def undone(self, values: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """The array of that shape whose view is `values`."""
        transposed = values.reshape([shape[axis] for axis in self.axes])
        return np.ascontiguousarray(transposed.transpose(np.argsort(self.axes)))


@dataclass(frozen=True)
class Viewed:
    """A layer behind views of its weight.

    Example:
        >>> from onnx_evoq.quantize.weights.dense import Dense
        >>> layer = Viewed(Dense("...k,kn->...n"), (View((1, 0), (3, 2)),))
        >>> layer.matrix(np.arange(6).reshape(2, 3)).tolist()
        [[[0, 1, 2], [3, 4, 5]]]

    Attributes:
        linear: how the last view becomes a matrix.
        views: what is done to the weight before, in this order.
    """

    linear: Linear
    views: tuple[View, ...]

    @property
    def taps(self) -> int:
        """Columns of each input channel."""
        return self.linear.taps

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """The matrix of a weight, (groups, rows, columns)."""
        for view in self.views:
            weight = view.of(weight)
        return self.linear.matrix(weight)

    def weight(self, matrix: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """The weight of that shape whose matrix is `matrix`."""
        shapes = [shape, *(view.shape for view in self.views)]
        values = self.linear.weight(matrix, shapes[-1])
        for view, before in zip(reversed(self.views), reversed(shapes[:-1]), strict=True):
            values = view.undone(values, before)
        return values

    def output_shape(self, shape: Shape, weight: Shape) -> Shape:
        """The shape of the output for an input and a weight of these shapes."""
        return self.linear.output_shape(shape, self._read(weight))

    def bias_shape(self, weight: Shape) -> Shape | None:
        """The shape of a bias that broadcasts along the output, with a value for each channel."""
        return self.linear.bias_shape(self._read(weight))

    def fits(self, shape: Shape, output: Shape, weight: Shape) -> bool:
        """Whether an input, an output and a weight of these shapes go together."""
        return self.linear.fits(shape, output, self._read(weight))

    def has_samples(self, output: Shape) -> bool:
        """Whether the first axis of input and output, which has that shape, is the samples'."""
        return self.linear.has_samples(output)

    def positions(self, output: Shape) -> int:
        """Number of positions per entry in an output of that shape."""
        return self.linear.positions(output)

    def columns(self, values: NDArray[Any], at: Indices, output: Shape) -> Float32Array:
        """Columns of the layer's input, (groups, entries * positions, columns)."""
        return self.linear.columns(values, at, output)

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """Values of the layer's output at `at`, (groups, entries * positions, rows)."""
        return self.linear.outputs(values, at)

    def _read(self, weight: Shape) -> Shape:
        """The shape in which the layer reads a weight of that shape."""
        return self.views[-1].shape if self.views else weight
