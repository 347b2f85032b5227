"""Matrix products as layers: MatMul, Gemm, Einsum and what contains one.

An equation of einsum says which axes of input, weight and output go together:

    ...k,kn->...n       MatMul with its weight on the right
    ...kn,mk->...mn     MatMul with its weight on the left
    ...hmk,hkn->...hmn  MatMul with a matrix for each head
    km,nk->mn           Gemm with transA and transB

A letter of the weight is a *group* if input and output have it, too, a *row* if only the output
has it, and a *column* if only the input has it, so that the layer sums over it. All other letters,
and the axes that "..." stands for, are positions. A letter of the weight alone has one entry.

The first axis is that of the samples if input and output begin with the same position. Else all
positions of a batch are those of one entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Indices

Shape: TypeAlias = tuple[int, ...]
_Label: TypeAlias = str | int  # a letter, or the number of an axis within "..."

_REST = "..."


@dataclass(frozen=True)
class Dense:
    """A matrix product.

    Example:
        >>> layer, x, weight = Dense("...k,kn->...n"), np.ones((4, 3)), np.ones((3, 2))
        >>> layer.matrix(weight).shape, layer.columns(x, np.arange(1), (4, 2)).shape
        ((1, 2, 3), (1, 4, 3))

    Attributes:
        equation: the axes of input, weight and output, as ``input,weight->output``.
        scale: by what the product is multiplied, and the columns with it.
        taps: columns of each input channel, always 1.
    """

    equation: str
    scale: float = 1.0
    taps: ClassVar[int] = 1

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """The matrix of a weight, (groups, rows, columns)."""
        return weight.transpose(self._axes).reshape(self._matrix_shape(weight.shape))

    def weight(self, matrix: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """The weight of that shape whose matrix is `matrix`."""
        ordered = matrix.reshape([shape[axis] for axis in self._axes])
        return np.ascontiguousarray(ordered.transpose(np.argsort(self._axes)))

    def output_shape(self, shape: Shape, weight: Shape) -> Shape:
        """The shape of the output for an input and a weight of these shapes."""
        labels = _labels(self._input, len(shape))
        sizes: dict[_Label, int] = dict(zip(labels, shape, strict=True))
        sizes.update(zip(self._weight, weight, strict=True))
        rest = [label for label in labels if isinstance(label, int)]
        before, _, after = self._output.partition(_REST)
        return tuple(sizes[label] for label in (*before, *rest, *after))

    def bias_shape(self, weight: Shape) -> Shape | None:
        """The shape of a bias that broadcasts along the output, with a value for each channel.

        None if its values would not be in the order of the matrix's rows.
        """
        before, _, after = self._output.rpartition(_REST)
        channels = [letter for letter in after if letter in self._weight]
        if channels != [*self._groups, *self._rows] or set(before) & set(self._weight):
            return None
        sizes = dict(zip(self._weight, weight, strict=True))
        shape = [sizes.get(letter, 1) for letter in after]
        while shape and after[0] not in self._weight:
            shape, after = shape[1:], after[1:]
        return tuple(shape)

    def fits(self, shape: Shape, output: Shape, weight: Shape) -> bool:
        """Whether tensors of these shapes have the axes that the equation names."""
        labels, of_output = _labels(self._input, len(shape)), _labels(self._output, len(output))
        sizes = dict[_Label, int](zip(labels, shape, strict=True))
        given = dict[_Label, int](zip(of_output, output, strict=True))
        own = dict[_Label, int](zip(self._weight, weight, strict=True))
        if any(given.get(label) != own[label] for label in (*self._groups, *self._rows)):
            return False
        if any(sizes.get(label) != own[label] for label in self._columns):
            return False
        if any(sizes.get(label, 1) not in (1, own[label]) for label in self._groups):
            return False
        positions = [label for label in labels if label not in own]
        return {label: sizes[label] for label in positions} == {
            label: given[label] for label in self._positions(of_output)
        }

    def has_samples(self, output: Shape) -> bool:
        """Whether the first axis of input and output, which has that shape, is the samples'."""
        return self._begins_alike(_labels(self._output, len(output)))

    def positions(self, output: Shape) -> int:
        """Number of positions per entry in an output of that shape; one entry without samples."""
        labels = _labels(self._output, len(output))
        sizes = dict(zip(labels, output, strict=True))
        positions = self._positions(labels)[self._begins_alike(labels) :]
        return int(np.prod([sizes[label] for label in positions], dtype=np.int64))

    def columns(self, values: NDArray[Any], at: Indices, output: Shape) -> Float32Array:
        """Columns of the layer's input, (groups, entries * positions, columns).

        Args:
            values: the input, of some entries.
            at: indices of output positions.
            output: the output's shape.
        """
        labels, of_output = _labels(self._input, values.ndim), _labels(self._output, len(output))
        missing = [label for label in self._groups if label not in labels]  # is broadcast
        values = values.reshape((1,) * len(missing) + values.shape)
        groups = [n for label, n in zip(of_output, output, strict=True) if label in self._groups]
        taken = self._taken([*missing, *labels], values, self._columns, of_output, groups, at)
        return taken if self.scale == 1 else taken * np.float32(self.scale)

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """Values of the layer's output at `at`, (groups, entries * positions, rows).

        Args:
            values: the output, of some entries.
            at: indices of output positions.
        """
        labels = _labels(self._output, values.ndim)
        groups = [n for label, n in zip(labels, values.shape, strict=True) if label in self._groups]
        return self._taken(labels, values, self._rows, labels, groups, at)

    def _taken(
        self,
        labels: Sequence[_Label],
        values: NDArray[Any],
        last: Sequence[_Label],
        of_output: Sequence[_Label],
        groups: Sequence[int],
        at: Indices,
    ) -> Float32Array:
        """Vectors of a tensor at some positions, (groups, entries * positions, vector).

        Args:
            labels: of the tensor's axes.
            values: the tensor.
            last: the labels of a vector's axes.
            of_output: of the output's axes, in whose order the positions are.
            groups: the sizes of the groups' axes.
            at: indices of positions.
        """
        positions = self._positions(of_output)
        order = [labels.index(label) for label in (*positions, *self._groups, *last)]
        ordered = values.transpose(order)  # (*positions, *groups, *last)
        entries = ordered.shape[0] if self._begins_alike(of_output) else 1
        before, behind = len(positions), len(positions) + len(self._groups)
        if ordered.shape[before:behind] != tuple(groups):
            shape = (*ordered.shape[:before], *groups, *ordered.shape[behind:])
            ordered = np.broadcast_to(ordered, shape)
        vector = int(np.prod(ordered.shape[behind:], dtype=np.int64))
        count = int(np.prod(groups, dtype=np.int64))
        each = int(np.prod(ordered.shape[:before], dtype=np.int64)) // max(entries, 1)
        table = ordered.reshape(entries, each, count, vector)[:, at]
        table = table.reshape(-1, count, vector).transpose(1, 0, 2)
        return np.ascontiguousarray(table, np.float32)

    @property
    def _input(self) -> str:
        return self.equation.partition(",")[0]

    @cached_property
    def _weight(self) -> list[str]:
        return list(self.equation.partition(",")[2].partition("->")[0])

    @property
    def _output(self) -> str:
        return self.equation.partition("->")[2]

    @cached_property
    def _groups(self) -> list[str]:
        return [each for each in self._output if each in self._weight and each in self._input]

    @cached_property
    def _rows(self) -> list[str]:
        return [each for each in self._output if each in self._weight and each not in self._input]

    @cached_property
    def _columns(self) -> list[str]:
        return [e for e in self._weight if e in self._input and e not in self._output]

    @cached_property
    def _axes(self) -> list[int]:
        """The axes of the weight in the order of its matrix; those with one entry come last."""
        letters = [*self._groups, *self._rows, *self._columns]
        letters += [letter for letter in self._weight if letter not in letters]
        return [self._weight.index(letter) for letter in letters]

    def _matrix_shape(self, shape: Shape) -> Shape:
        sizes = dict(zip(self._weight, shape, strict=True))
        groups, rows = (
            int(np.prod([sizes[letter] for letter in letters], dtype=np.int64))
            for letters in (self._groups, self._rows)
        )
        return groups, rows, int(np.prod(shape, dtype=np.int64)) // max(groups * rows, 1)

    def _positions(self, of_output: Sequence[_Label]) -> list[_Label]:
        return [label for label in of_output if label not in self._weight]

    def _begins_alike(self, of_output: Sequence[_Label]) -> bool:
        """Whether the first axis of the output is a position, and the input's first one, too."""
        if not of_output or of_output[0] in self._weight:
            return False
        if isinstance(of_output[0], int):
            return self._input.startswith(_REST)
        first = self._input.removeprefix(_REST)[:1]
        in_rest = any(isinstance(label, int) for label in of_output)
        return of_output[0] == first and not (in_rest and self._input.startswith(_REST))


def _labels(term: str, rank: int) -> list[_Label]:
    """The label of each axis of a tensor with so many axes.

    A tensor with fewer axes than the term has letters has no axes for the first of these.

    Example:
        >>> _labels("a...k", 4), _labels("...hk", 1)
        (['a', 0, 1, 'k'], ['k'])
    """
    before, dots, after = term.partition(_REST)
    if not dots:
        before, after = "", term
    rest = max(0, rank - len(before) - len(after))
    labels: list[_Label] = [*before, *range(rest), *after]
    return labels[len(labels) - rank :]
