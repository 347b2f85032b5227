"""The size of the images of models that read lines of text.

Their strides are larger across the line than along it, so that the smallest map of features is a
row. An image is then as high as leaves one row: 32, 48 or 64 pixels, or more in steps of 16, and
three quarters of the stride at least. Where the positions of the row are pooled, the image is four
times as wide as it is high (a classifier). Else it is as wide as 40 positions (a reader).
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from onnx_evoq.setup.axes.bisection import lengths_with, roundest

Sizes = Mapping[str, int]
Shapes = Mapping[str, tuple[int | None, ...]]

_SIDE = 256  # of the trial images
_LEAST_RATIO = 4  # of the strides
_LEAST_HEIGHT, _HEIGHT_STEP = 32, 16  # pixels
_LEAST_PART = 0.75  # of the stride
_POSITIONS = 40
_POOLED_RATIO = 4


def text_line(
    height: str, width: str, shapes_at: Callable[[Sizes], Shapes], pooled: Collection[str]
) -> dict[str, int]:
    """The height and the width of images of text lines, by the names of the axes; else none.

    Args:
        height: the name of the height.
        width: the name of the width.
        shapes_at: the shapes of all tensors for an image of some size.
        pooled: the tensors that are pooled over all positions.
    """
    square = {height: _SIDE, width: _SIDE}
    shapes = [shapes_at(square), *(shapes_at({**square, name: 2 * _SIDE}) for name in square)]
    maps = [(name, axes) for name in shapes[0] if (axes := _sides_of_map(name, shapes))]
    if not maps:
        return {}

    def sides(name: str, axes: tuple[int, int]) -> tuple[int, int]:
        rows, columns = (shapes[0][name][axis] for axis in axes)
        return rows or 0, columns or 0

    smallest = min(math.prod(sides(*each)) for each in maps)
    # Of maps of one size, the last.
    name, axes = [each for each in maps if math.prod(sides(*each)) == smallest][-1]
    rows, columns = sides(name, axes)
    if columns < _LEAST_RATIO * rows:
        return {}

    def rows_at(pixels: int) -> int | None:
        shape = shapes_at({**square, height: pixels}).get(name)
        return None if shape is None else shape[axes[0]]

    lengths = lengths_with(1, rows_at, _SIDE)
    if lengths is None:
        return {}
    stride = _SIDE / ((rows_at(2 * _SIDE) or rows + 1) - rows)
    least = max(_LEAST_HEIGHT, _LEAST_PART * stride, lengths[0])
    first = math.ceil(least / _HEIGHT_STEP) * _HEIGHT_STEP
    pixels = first if first <= lengths[1] else roundest(*lengths)
    along = _POOLED_RATIO * pixels if name in pooled else _POSITIONS * round(_SIDE / columns)
    return {height: pixels, width: along}


def _sides_of_map(name: str, shapes: Sequence[Shapes]) -> tuple[int, int] | None:
    """The axes of a tensor that grow with the height and with the width; None if these are not two.

    Args:
        name: of the tensor.
        shapes: of all tensors for an image, for a higher one, and for a wider one.
    """
    base, higher, wider = (each.get(name) for each in shapes)
    if base is None or higher is None or wider is None or None in base or len(base) != 4:
        return None
    grown = [[axis for axis in range(4) if each[axis] != base[axis]] for each in (higher, wider)]
    if [len(axes) for axes in grown] != [1, 1] or grown[0] == grown[1]:
        return None
    return grown[0][0], grown[1][0]
