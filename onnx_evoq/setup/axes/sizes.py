"""Sizes to try for the axes that a model leaves open, the likeliest first."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

from onnx_evoq.setup.axes.images import image_axes, is_image
from onnx_evoq.setup.axes.layout import Layout, is_batch
from onnx_evoq.signature import TensorSpec

Sum: TypeAlias = tuple[str | int, ...]  # of sizes, some of them by name
Alternative: TypeAlias = Mapping[str, int | Sum]  # by name

IMAGE_SIDE = 128  # pixels, if the model leaves the size of its images open
OTHER_AXIS = 32  # the size of other axes that the model leaves open
_CHANNELS = (3, 1, 4)
_IMAGE_SIDES = (IMAGE_SIDE, 224, 256, 64, 96, 32, 48, 512, 320, 28)
_LENGTHS = (128, 512, 16, 64, 100, 256, 8, 2048, 4, 1024, 2, 1, 4096, 16000)
_EMPTY_PLACE = 3  # of an empty cache among the sizes
_MOST_SUMS = 12


def sizes_to_try(
    layout: Layout, specs: Sequence[TensorSpec], known: Sequence[Alternative]
) -> list[list[Alternative]]:
    """For each group of sizes that are free, the sizes to try, the likeliest first.

    Args:
        layout: the axes.
        specs: the model's inputs.
        known: sizes that the model's constants suggest, the likeliest first.
    """
    groups: list[list[Alternative]] = []
    left = dict.fromkeys(layout.names)  # in order
    for spec in specs:
        if is_image(spec):
            axes = layout.axes[spec.name]
            channels, sides = ([axes[i] for i in part] for part in image_axes(spec))
            for sizes, usual in ((channels, _CHANNELS), (sides, _IMAGE_SIDES)):
                names = [size for size in sizes if isinstance(size, str) and size in left]
                groups.append(_of_group(names, [dict.fromkeys(names, n) for n in usual], known))
                for name in names:
                    left.pop(name, None)
    caches = _names_in_caches(layout, specs)
    for name in left:
        others = [other for other in left if other != name and not is_batch(other)]
        groups.append(_of_group([name], _of_length(name, others, name in caches), known))
    return [group for group in groups if group]


def _of_group(
    names: Sequence[str], usual: Sequence[Alternative], known: Sequence[Alternative]
) -> list[Alternative]:
    """Sizes of some axes that are tried together; none without any."""
    if not names:
        return []
    stated = [{name: each[name] for name in names} for each in known if set(names) <= set(each)]
    tried = [*stated, *usual]
    return [each for index, each in enumerate(tried) if each not in tried[:index]]


def _of_length(name: str, others: Sequence[str], is_cache: bool) -> list[Alternative]:
    """Sizes of an axis: usual ones, and sums of others."""
    if is_batch(name):
        return [{name: 1}, {name: OTHER_AXIS}]
    sums: list[Sum] = [*list(combinations(others, 2))[:_MOST_SUMS], *((a, 1) for a in others[:2])]
    tried: list[int | Sum] = [OTHER_AXIS, *sums, *_LENGTHS]
    if is_cache:
        tried.insert(_EMPTY_PLACE, 0)
    return [{name: size} for size in tried]


def added_up(alternative: Alternative) -> dict[str, int] | None:
    """The sizes with all sums computed; None if a sum holds a size that is not there.

    Example:
        >>> added_up({"past": 3, "new": 2, "total": ("past", "new")})
        {'past': 3, 'new': 2, 'total': 5}
    """
    sizes = {name: size for name, size in alternative.items() if isinstance(size, int)}
    for name, size in alternative.items():
        if not isinstance(size, int):
            parts = [part if isinstance(part, int) else sizes.get(part) for part in size]
            if None in parts:  # a sum of a sum
                return None
            sizes[name] = sum(part for part in parts if part is not None)
    return sizes


def _names_in_caches(layout: Layout, specs: Sequence[TensorSpec]) -> set[str]:
    """Sizes of floats of three axes and more, of which there may be none at the beginning."""
    return {
        size
        for spec in specs
        if spec.dtype.kind == "f" and len(spec.shape or ()) > 2
        for size in layout.axes[spec.name]
        if isinstance(size, str)
    }
