"""Layers as matrices: every linear operator is ``y = W x`` for columns x gathered from its input.

The weight becomes a matrix per group, (groups, rows, columns), a row for each output channel; what
it multiplies becomes one vector of columns per output position. A ConvTranspose is a Conv with
stride 1 over its input with ``stride - 1`` zeros between values, and its kernel turned around.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Indices


@dataclass(frozen=True)
class Dense:
    """A matrix product.

    Attributes:
        transposed: whether the weight is (columns, rows), as in MatMul, instead of (rows, columns).
        left: whether the weight stands on the left, so that columns lie along the input's axis -2.
    """

    transposed: bool
    left: bool = False
    groups: ClassVar[int] = 1
    taps: ClassVar[int] = 1

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """(1, rows, columns) of the weight."""
        return (weight.T if self.transposed else weight)[None]

    def weight(self, matrix: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The weight in its `shape`, from `matrix`."""
        return np.ascontiguousarray(matrix[0].T if self.transposed else matrix[0]).reshape(shape)

    def has_samples(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of that shape has samples along its first axis."""
        return len(shape) > (2 if self.left else 1)

    def positions(self, output: tuple[int, ...]) -> int:
        """Positions per sample of an output of that shape."""
        return int(np.prod(output[1:], dtype=np.int64)) // self._channels(output)

    def columns(self, values: NDArray[Any], at: Indices, output: tuple[int, ...]) -> Float32Array:
        """(1, samples * positions, columns) at the positions `at`, of the layer's input."""
        return self._vectors(values, at)[None]

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """(1, samples * positions, rows) at the positions `at`, of the layer's output."""
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
        strides: likewise, as are `dilations`.
        pads: before each axis, then behind each; None (not for a ConvTranspose) for what gives
            ``ceil(size / stride)`` outputs, the odd one behind unless `pad_before`.
        groups: the input's channels are divided among so many groups of the output's.
        transposed: whether it is a ConvTranspose.
        pad_before: where the odd one of automatic padding goes.
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
        """Columns of each input channel."""
        return int(np.prod(self.kernel))

    def matrix(self, weight: NDArray[Any]) -> NDArray[Any]:
        """(groups, rows, columns) of the weight."""
        if not self.transposed:  # (rows, columns / kernel, *kernel)
            return weight.reshape(self.groups, len(weight) // self.groups, -1)
        split = weight.reshape(self.groups, len(weight) // self.groups, *weight.shape[1:])
        turned = np.flip(split, tuple(range(3, split.ndim)))  # (groups, inputs, rows, *kernel)
        rows = np.swapaxes(turned, 1, 2)
        return rows.reshape(self.groups, rows.shape[1], -1)

    def weight(self, matrix: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The weight in its `shape`, from `matrix`."""
        if not self.transposed:
            return matrix.reshape(shape)
        rows = matrix.reshape(self.groups, matrix.shape[1], -1, *self.kernel)
        turned = np.flip(np.swapaxes(rows, 1, 2), tuple(range(3, rows.ndim)))
        return np.ascontiguousarray(turned).reshape(shape)

    def has_samples(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of that shape has samples along its first axis."""
        return len(shape) == len(self.kernel) + 2

    def positions(self, output: tuple[int, ...]) -> int:
        """Positions per sample of an output of that shape."""
        return int(np.prod(output[2:], dtype=np.int64))

    def columns(self, values: NDArray[Any], at: Indices, output: tuple[int, ...]) -> Float32Array:
        """(groups, samples * positions, columns) at the positions `at`, of the layer's input."""
        if self.transposed:
            values = _spread(values, self.strides)
        strides = (1,) * len(self.kernel) if self.transposed else self.strides
        padded = np.pad(values, self._padding(values.shape[2:], output[2:], strides))
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        axes = tuple(range(2, values.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
        every = (slice(None),) * 2
        outer = (slice(None, None, stride) for stride in strides)
        inner = (slice(None, None, dilation) for dilation in self.dilations)
        windows = windows[(*every, *outer, *inner)]
        # (samples, *output, channels, *kernel) -> (samples, positions, channels, *kernel)
        space = len(self.kernel)
        windows = np.moveaxis(windows, 1, 1 + space)
        index: tuple[Any, ...] = (slice(None), *np.unravel_index(at, output[2:]))
        flat = np.ascontiguousarray(windows[index], np.float32).reshape(len(values) * len(at), -1)
        return np.moveaxis(flat.reshape(len(flat), self.groups, -1), 1, 0)

    def outputs(self, values: NDArray[Any], at: Indices) -> Float32Array:
        """(groups, samples * positions, rows) at the positions `at`, of the layer's output."""
        flat = values.reshape(*values.shape[:2], -1)[:, :, at]  # (samples, channels, positions)
        flat = np.moveaxis(flat, 1, 2).reshape(len(values) * len(at), self.groups, -1)
        return np.ascontiguousarray(np.moveaxis(flat, 1, 0), np.float32)

    def _padding(
        self, size: tuple[int, ...], output: tuple[int, ...], strides: tuple[int, ...]
    ) -> list[tuple[int, int]]:
        """How much to pad each axis of the (spread) input, so that windows give the output."""
        count, pads = len(self.kernel), []
        for axis in range(count):
            reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            whole = max(0, (output[axis] - 1) * strides[axis] + reach - size[axis])
            if self.pads is None:
                before = (whole + 1) // 2 if self.pad_before else whole // 2
            elif self.transposed:
                before = reach - 1 - self.pads[axis]
            else:
                before = self.pads[axis]
            pads.append((before, max(0, whole - before)))
        return [(0, 0), (0, 0), *pads]


Linear = Dense | Window


def _spread(values: NDArray[Any], strides: tuple[int, ...]) -> NDArray[Any]:
    """`values` with ``stride - 1`` zeros between neighbours along each spatial axis."""
    space = [(n - 1) * s + 1 for n, s in zip(values.shape[2:], strides, strict=True)]
    spread = np.zeros((*values.shape[:2], *space), values.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = values
    return spread
