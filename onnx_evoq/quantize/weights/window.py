"""Convolutions as layers: columns are the values of the input within a window (im2col).

A ConvTranspose is a Conv with stride 1 and a flipped kernel, over the input with ``stride - 1``
zeros between its values.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Indices


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
        output_padding: values that a ConvTranspose has besides at the end of each axis.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    groups: int = 1
    transposed: bool = False
    pad_before: bool = False
    output_padding: tuple[int, ...] = ()

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

    def bias_shape(self, weight: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a bias that broadcasts along the output, with a value for each channel."""
        channels = weight[1] * self.groups if self.transposed else weight[0]
        return (channels, *(1,) * len(self.kernel))

    def fits(
        self, shape: tuple[int, ...], output: tuple[int, ...], weight: tuple[int, ...]
    ) -> bool:
        """Whether an input, an output and a weight of these shapes go together."""
        if not len(shape) == len(output) == len(weight) or shape[0] != output[0]:
            return False
        inputs = weight[0] if self.transposed else weight[1] * self.groups
        return (shape[1], output[1]) == (inputs, self.bias_shape(weight)[0])

    def has_samples(self, output: tuple[int, ...]) -> bool:
        """Whether the first axis of an output of that shape is the samples': always."""
        return True

    def output_shape(self, shape: tuple[int, ...], weight: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the output for an input and a weight of these shapes."""
        space, count = [], len(self.kernel)
        more = self.output_padding or (0,) * count
        for axis, size in enumerate(shape[2:]):
            stride, reach = self.strides[axis], self.dilations[axis] * (self.kernel[axis] - 1) + 1
            if self.transposed:
                assert self.pads is not None
                cropped = self.pads[axis] + self.pads[count + axis]
                space.append((size - 1) * stride + reach - cropped + more[axis])
            elif self.pads is None:
                space.append(-(-size // stride))
            else:
                padded = size + self.pads[axis] + self.pads[count + axis]
                space.append((padded - reach) // stride + 1)
        return (shape[0], self.bias_shape(weight)[0], *space)

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


def _dilated(values: NDArray[Any], strides: tuple[int, ...]) -> NDArray[Any]:
    """`values` with ``stride - 1`` zeros between neighbours along each spatial axis."""
    space = [(n - 1) * s + 1 for n, s in zip(values.shape[2:], strides, strict=True)]
    dilated = np.zeros((*values.shape[:2], *space), values.dtype)
    dilated[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = values
    return dilated
