"""Which axes of a model's inputs have one size, and which of them counts samples.

1. Axes of one name have one size, and a name may be a formula of others.
2. Axes without a name are alike in inputs of the same type, whose other axes are the same.
3. The first axis of each input counts samples, unless

   - its size is stated and is another one than that of other inputs, as in a recurrent state,
   - an input is one image,
   - its name is that of another axis, too, as in an adjacency matrix, or the name of a length,
   - an input holds indices of the entries of a tensor along its first axis, as of a graph's nodes.

   Then each sample is a whole feed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx_evoq.model import InputUses
from onnx_evoq.setup.axes.formulas import names_in, value_of
from onnx_evoq.setup.axes.images import is_single_image
from onnx_evoq.signature import TensorSpec

_BATCH = re.compile(r"b|bs|batch.*|.*batch(_?size)?", re.IGNORECASE)
_LENGTH = re.compile(r".*(seq|len|time|frame|node|edge|point|token|atom).*", re.IGNORECASE)
BATCH = "batch of a sample"  # where samples are whole feeds


@dataclass(frozen=True)
class Layout:
    """The axes of all inputs.

    Attributes:
        axes: for each input, by name, the size of each axis or the name of that size.
        whole: whether samples are whole feeds; else the first axis counts them.
    """

    axes: Mapping[str, tuple[int | str, ...]]
    whole: bool

    @property
    def names(self) -> list[str]:
        """The names of sizes that are free, in order; formulas of them are left out."""
        found = [
            size
            for axes in self.axes.values()
            for size in (axes if self.whole else axes[1:])
            if isinstance(size, str)
        ]
        plain = {size for size in found if names_in(size) == {size}}
        free: dict[str, None] = {}
        for size in found:
            names = names_in(size)
            # A formula of one name is one; otherwise one of its names must be an axis.
            is_formula = len(names) == 1 or not names.isdisjoint(plain)
            free.update(dict.fromkeys(sorted(names) if is_formula else [size]))
        return list(free)

    def shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]] | None:
        """The shape of a sample of each input, None if a size is not known or negative.

        Args:
            sizes: by name.
        """
        shapes = {}
        for name, axes in self.axes.items():
            shape = []
            for axis in axes if self.whole else axes[1:]:
                size = axis if isinstance(axis, int) else sizes.get(axis, value_of(axis, sizes))
                if size is None or size < 0:
                    return None
                shape.append(size)
            shapes[name] = tuple(shape)
        return shapes


def layouts(
    specs: Sequence[TensorSpec],
    names: Mapping[str, tuple[str | None, ...]],
    uses: Mapping[str, InputUses],
) -> list[Layout]:
    """The layouts to try, the likeliest first.

    Args:
        specs: the model's inputs, all of which state their axes.
        names: of the axes of each input.
        uses: what the model does with each input.
    """
    modes = [True] if _are_whole(specs, names, uses) else [False, True]
    found: list[Layout] = []
    batch = "" if _has_indices_of_entries(uses) else BATCH
    for whole in modes:
        for tied in (True, False):
            axes = {spec.name: _axes(spec, names[spec.name], batch, tied) for spec in specs}
            if Layout(axes, whole) not in found:
                found.append(Layout(axes, whole))
    return found


def is_batch(name: str) -> bool:
    """Whether a size is the number of samples in a feed, to judge by its name."""
    return name == BATCH or _BATCH.fullmatch(name) is not None


def _are_whole(
    specs: Sequence[TensorSpec],
    names: Mapping[str, tuple[str | None, ...]],
    uses: Mapping[str, InputUses],
) -> bool:
    """Whether each sample is a whole feed."""
    if any(map(is_single_image, specs)):
        return True
    with_axes = [spec for spec in specs if spec.shape]
    sizes = {spec.shape[0] for spec in with_axes if spec.shape}
    if len(sizes) > 1 and sizes != {None, 1}:
        return True
    later = {name for axes in names.values() for name in axes[1:]}
    for spec in with_axes:
        name = names[spec.name][0] or ""
        if name in later or (_LENGTH.fullmatch(name) and not is_batch(name)):
            return True
    return _has_indices_of_entries(uses)


def _has_indices_of_entries(uses: Mapping[str, InputUses]) -> bool:
    """Whether an input holds indices of the entries of a tensor that is computed."""
    rows = [row for each in uses.values() for row in each.rows]
    return any(not row.constant and row.axis in (0, None) for row in rows)


def _axes(
    spec: TensorSpec, names: tuple[str | None, ...], batch: str, tied: bool
) -> tuple[int | str, ...]:
    """The sizes of an input's axes, or their names.

    Args:
        spec: the input.
        names: those that the model gives to its axes.
        batch: the name of the size of an axis without a name that may be that of the batch.
        tied: whether such axes are alike in inputs of one type and shape.
    """
    assert spec.shape is not None
    open_first = bool(spec.shape) and spec.shape[0] is None
    batch = "" if is_single_image(spec) else batch
    # Inputs of whole numbers are masks and indices, whose lengths may be sums of others.
    alike = tied or spec.dtype.kind == "f"
    kind = f"{spec.dtype} {spec.shape}" if alike else spec.name
    axes: list[int | str] = []
    for index, (size, name) in enumerate(zip(spec.shape, names, strict=True)):
        own = f"axis {index} of {kind}"
        axes.append(size or name or (own if open_first and index else batch or own))
    return tuple(axes)
