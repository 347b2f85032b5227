"""Layers as matrices: every linear operator is ``y = W x`` for columns x gathered from its input.

The weight becomes one matrix per group, (groups, rows, columns), with a row for each output
channel. The input becomes one vector x of columns for each output position. `Dense` is for matrix
products, `Window` for convolutions.
"""

from typing import Any, Protocol

from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Indices

Shape = tuple[int, ...]


class Linear(Protocol):
    """How the weight of a layer becomes a matrix, and its input columns."""

    @property
    def taps(self) -> int:
        """Columns of each input channel."""
        ...

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """The matrix of a weight, (groups, rows, columns)."""
        ...

    def weight(self, matrix: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """The weight of that shape whose matrix is `matrix`."""
        ...

    def output_shape(self, shape: Shape, weight: Shape) -> Shape:
        """The shape of the output for an input and a weight of these shapes."""
        ...

    def bias_shape(self, weight: Shape) -> Shape | None:
        """The shape of a bias that broadcasts along the output, with a value for each channel.

        None if its values would not be in the order of the matrix's rows.
        """
        ...

    def fits(self, shape: Shape, output: Shape, weight: Shape) -> bool:
        """Whether an input, an output and a weight of these shapes go together."""
        ...

    def has_samples(self, output: Shape) -> bool:
        """Whether the first axis of input and output, which has that shape, is the samples'.

        Else all positions of a batch are those of one entry.
        """
        ...

    def positions(self, output: Shape) -> int:
        """Number of positions per entry in an output of that shape."""
        ...

    def columns(self, values: NDArray[Any], at: Indices, output: Shape) -> Float32Array:
        """Columns of the layer's input, (groups, entries * positions, columns).

        Args:
            values: the input, of some entries.
            at: indices of output positions.
            output: the output's shape.
        """
        ...

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """Values of the layer's output at `at`, (groups, entries * positions, rows)."""
        ...
