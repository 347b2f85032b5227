"""Sizes of open axes that follow from what the model's constants demand.

Shapes are inferred for trial sizes, without a run of the model. A size that a constant demands, and
that grows with an open axis, says how long that axis is, which bisection finds. Often a range of
lengths gives the same size, as strides drop what is left over. Of these, the one is taken that is
divisible by the highest power of two.
"""

from collections.abc import Callable, Mapping, Sequence

from onnx_evoq.model import SizeDemand
from onnx_evoq.setup.axes.bisection import lengths_with, roundest

Sizes = Mapping[str, int]
DemandsAt = Callable[[Sizes], Sequence[SizeDemand]]

_SCALES = (1, 4, 16)  # of the first sizes, until all demands are known
_MOST = 3  # sizes of an axis
# Height and width of images, one to the other, that are tried where only their area is demanded.
_RATIOS = ((1, 1), (1, 2), (2, 1), (3, 4), (4, 3), (1, 3), (3, 1), (1, 4), (4, 1))


def demanded_sizes(
    first: Sizes, images: Sequence[tuple[str, str]], demands_at: DemandsAt
) -> list[dict[str, int]]:
    """The sizes that constants demand, by the name of the axis; without those that they do not.

    There are several choices where two branches of a model demand other sizes.

    Args:
        first: any sizes of all axes that are open.
        images: names of the heights and the widths of images.
        demands_at: the demands for some sizes.
    """
    scaled = [{name: size * scale for name, size in first.items()} for scale in _SCALES]
    base = max(scaled, key=lambda sizes: len(demands_at(sizes)))
    growing = {name: _growing(name, base, demands_at) for name in base}
    found: dict[str, list[int]] = {}
    for name, demands in growing.items():
        others = {d.place for other in growing if other != name for d in growing[other]}
        alone = [demand for demand in demands if demand.place not in others]
        solved = _solved(alone, {name: 1}, base, base[name], demands_at)
        found |= {name: [sizes[name] for sizes in solved]} if solved else {}
    base.update({name: sizes[0] for name, sizes in found.items()})
    for height, width in images:
        places = {demand.place for demand in growing.get(width, ())}
        both = [demand for demand in growing.get(height, ()) if demand.place in places]
        if height in found or width in found or height == width:
            both = []
        for high, wide in _RATIOS if both else ():
            shares = {height: high / max(high, wide), width: wide / max(high, wide)}
            solved = _solved(both, shares, base, max(base[height], base[width]), demands_at)
            if solved:
                found |= {name: [size] for name, size in solved[0].items()}
                break
    choices = max(map(len, found.values()), default=0)
    return [
        {name: sizes[min(choice, len(sizes) - 1)] for name, sizes in found.items()}
        for choice in range(choices)
    ]


def _growing(name: str, base: Sizes, demands_at: DemandsAt) -> list[SizeDemand]:
    """The demands whose sizes grow with an axis."""
    longer = {d.place: d.has for d in demands_at({**base, name: 2 * base[name]})}
    return [d for d in demands_at(base) if longer.get(d.place, d.has) > d.has]


def _solved(
    demands: Sequence[SizeDemand],
    shares: Mapping[str, float],
    base: Sizes,
    known: int,
    demands_at: DemandsAt,
) -> list[dict[str, int]]:
    """Sizes of axes with which the first demands are met, each by itself, without repetitions.

    Args:
        demands: what is demanded.
        shares: the sizes of the axes, as shares of the length that is looked for.
        base: the sizes of the other axes.
        known: a length at which the demands are known.
        demands_at: the demands for some sizes.
    """

    def sizes(length: int) -> dict[str, int]:
        return {name: max(1, round(share * length)) for name, share in shares.items()}

    found: list[dict[str, int]] = []
    for demand in demands:

        def has(length: int, place: tuple[str, int] = demand.place) -> int | None:
            every = demands_at({**base, **sizes(length)})
            return next((each.has for each in every if each.place == place), None)

        lengths = lengths_with(demand.wanted, has, known)
        if lengths is not None and sizes(roundest(*lengths)) not in found:
            found.append(sizes(roundest(*lengths)))
        if len(found) == _MOST:
            break
    return found
