"""Layers as matrices: every linear operator is ``y = W x`` for columns x gathered from its input.

The weight becomes one matrix per group, (groups, rows, columns), with a row for each output
channel. The input becomes one vector x of columns for each output position (im2col). A
ConvTranspose is a Conv with stride 1 and a flipped kernel, over the input with ``stride - 1`` zeros
between its values.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Indices


@dataclass(frozen=True)
class Dense:
    """A matrix product: MatMul or Gemm.

    Attributes:
        transposed: whether the weight is (columns, rows), as in MatMul, instead of (rows, columns).
        left: whether the weight is the left factor, so that columns lie along the input's axis -2.
        groups: always 1.
        taps: columns of each input channel, always 1.
    """

    transposed: bool
    left: bool = False
    groups: ClassVar[int] = 1
    taps: ClassVar[int] = 1

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """The matrix of a weight, (1, rows, columns)."""
        return (weight.T if self.transposed else weight)[None]

    def weight(self, matrix: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The weight of that shape whose matrix is `matrix`."""
        return np.ascontiguousarray(matrix[0].T if self.transposed else matrix[0]).reshape(shape)

    def has_samples(self, shape: tuple[int, ...]) -> bool:
        """Whether the first axis of an input of that shape is the samples'."""
        return len(shape) > (2 if self.left else 1)

    def output_shape(self, shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """The shape of the output, with so many channels, for an input of that shape."""
        return (*shape[:-2], channels, shape[-1]) if self.left else (*shape[:-1], channels)

    def positions(self, output: tuple[int, ...]) -> int:
        """Number of positions per sample in an output of that shape."""
        return int(np.prod(output[1:], dtype=np.int64)) // self._channels(output)

    def columns(self, values: NDArray[Any], at: Indices, output: tuple[int, ...]) -> Float32Array:
        """Columns of the layer's input, (1, samples * positions, columns).

        Args:
            values: the input.
            at: indices of output positions.
            output: the output's shape.
        """
        return self._vectors(values, at)[None]

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """Values of the layer's output at the positions `at`, (1, samples * positions, rows)."""
        return self._vectors(values, at)[None]

    def _channels(self, shape: tuple[int, ...]) -> int:
        return shape[-2 if self.left else -1]

    def _vectors(self, values: NDArray[Any], at: Indices) -> Float32Array:
        if self.left:
            values = np.swapaxes(values, -1, -2)
        vectors = values.reshape(len(values), -1, values.shape[-1])[:, at]
        return np.ascontiguousarray(vectors.reshape(-1, values.shape[-1]), np.float32)


@dataclass(frozen=True)
class Window:
    """A convolution over any number of spatial axes.

    Attributes:
        kernel: size along each axis.
        strides: stride along each axis.
        dilations: dilation along each axis.
        pads: zeros at the start of each axis, then at the end of each axis. None (not for a
            ConvTranspose) pads so that there are ``ceil(size / stride)`` outputs, as SAME_UPPER
            does.
        groups: number of groups that the input and output channels are divided into.
        transposed: whether it is a ConvTranspose.
        pad_before: whether automatic padding puts an odd zero at the start, as SAME_LOWER does.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    groups: int = 1
    transposed: bool = False
    pad_before: bool = False

    @property
    def taps(self) -> int:
        """Columns of each input channel: the size of the kernel."""
        return int(np.prod(self.kernel))

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """The matrix of a weight, (groups, rows, columns)."""
        if not self.transposed:  # (rows, columns / kernel, *kernel)
            return weight.reshape(self.groups, len(weight) // self.groups, -1)
        grouped = weight.reshape(self.groups, len(weight) // self.groups, *weight.shape[1:])
        flipped = np.flip(grouped, tuple(range(3, grouped.ndim)))  # (groups, inputs, rows, *kernel)
        rows = np.swapaxes(flipped, 1, 2)
        return rows.reshape(self.groups, rows.shape[1], -1)

    def weight(self, matrix: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The weight of that shape whose matrix is `matrix`."""
        if not self.transposed:
            return matrix.reshape(shape)
        rows = matrix.reshape(self.groups, matrix.shape[1], -1, *self.kernel)
        flipped = np.flip(np.swapaxes(rows, 1, 2), tuple(range(3, rows.ndim)))
        return np.ascontiguousarray(flipped).reshape(shape)

    def has_samples(self, shape: tuple[int, ...]) -> bool:
        """Whether the first axis of an input of that shape is the samples'."""
        return len(shape) == len(self.kernel) + 2

    def output_shape(self, shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """The shape of the output of a Conv, with so many channels, for an input of that shape."""
        assert not self.transposed  # whose output_padding is not known here
        space, count = [], len(self.kernel)
        for axis, size in enumerate(shape[2:]):
            stride, reach = self.strides[axis], self.dilations[axis] * (self.kernel[axis] - 1) + 1
            if self.pads is None:
                space.append(-(-size // stride))
            else:
                padded = size + self.pads[axis] + self.pads[count + axis]
                space.append((padded - reach) // stride + 1)
        return (shape[0], channels, *space)

    def positions(self, output: tuple[int, ...]) -> int:
        """Number of positions per sample in an output of that shape."""
        return int(np.prod(output[2:], dtype=np.int64))

    def columns(self, values: NDArray[Any], at: Indices, output: tuple[int, ...]) -> Float32Array:
        """Columns of the layer's input, (groups, samples * positions, columns).

        Args:
            values: the input.
            at: indices of output positions.
            output: the output's shape.
        """
        if self.transposed:
            values = _dilated(values, self.strides)
        samples, channels, size = len(values), values.shape[1], values.shape[2:]
        strides = (1,) * len(self.kernel) if self.transposed else self.strides
        places, inside = self._places(size, output[2:], strides, at)  # (positions, taps)
        flat = values.reshape(samples, channels, -1)
        taken = np.take(flat, places, axis=2)  # (samples, channels, positions, taps)
        if not inside.all():
            taken *= inside.astype(taken.dtype)
        by_group = taken.reshape(samples, self.groups, -1, *places.shape)
        ordered = by_group.transpose(1, 0, 3, 2, 4)  # (groups, samples, positions, channels, taps)
        return np.ascontiguousarray(ordered, np.float32).reshape(self.groups, samples * len(at), -1)

    def _places(
        self, size: tuple[int, ...], output: tuple[int, ...], strides: tuple[int, ...], at: Indices
    ) -> tuple[Indices, NDArray[np.bool_]]:
        """Where in the flattened input each tap of each position lies, (positions, taps).

        Args:
            size: the spatial shape of the input.
            output: the spatial shape of the output.
            strides: stride along each axis.
            at: indices of output positions.

        Returns:
            The indices, 0 for taps in the padding, and whether each tap lies inside.
        """
        count = len(self.kernel)
        places = np.zeros((len(at), *self.kernel), np.intp)
        inside = np.ones(places.shape, np.bool_)
        pads = self._padding(size, output, strides)[2:]
        for axis, position in enumerate(np.unravel_index(at, output)):
            taps = np.arange(self.kernel[axis]) * self.dilations[axis] - pads[axis][0]
            along = position[:, None] * strides[axis] + taps  # (positions, taps of the axis)
            shape = [len(at), *(1,) * count]
            shape[1 + axis] = self.kernel[axis]
            places = places * size[axis] + along.reshape(shape)
            inside &= ((along >= 0) & (along < size[axis])).reshape(shape)
        places = np.where(inside, places, 0)
        return places.reshape(len(at), -1), inside.reshape(len(at), -1)

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """Values of the layer's output at `at`, (groups, samples * positions, rows)."""
        flat = values.reshape(*values.shape[:2], -1)[:, :, at]  # (samples, channels, positions)
        flat = np.moveaxis(flat, 1, 2).reshape(len(values) * len(at), self.groups, -1)
        return np.ascontiguousarray(np.moveaxis(flat, 1, 0), np.float32)

    def _padding(
        self, size: tuple[int, ...], output: tuple[int, ...], strides: tuple[int, ...]
    ) -> list[tuple[int, int]]:
        """Zeros at the start and end of each axis of the input, so that windows give the output.

        Args:
            size: the spatial shape of the input (of a ConvTranspose, with zeros between values).
            output: the spatial shape of the output.
            strides: stride along each axis.
        """
        count, pads = len(self.kernel), []
        for axis in range(count):
            reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            total = max(0, (output[axis] - 1) * strides[axis] + reach - size[axis])
            if self.pads is None:
                before = (total + 1) // 2 if self.pad_before else total // 2
            elif self.transposed:
                before = reach - 1 - self.pads[axis]
            else:
                before = self.pads[axis]
            pads.append((before, max(0, total - before)))
        return [(0, 0), (0, 0), *pads]


Linear = Dense | Window


def _dilated(values: NDArray[Any], strides: tuple[int, ...]) -> NDArray[Any]:
    """`values` with ``stride - 1`` zeros between neighbours along each spatial axis."""
    space = [(n - 1) * s + 1 for n, s in zip(values.shape[2:], strides, strict=True)]
    dilated = np.zeros((*values.shape[:2], *space), values.dtype)
    dilated[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = values
    return dilated
