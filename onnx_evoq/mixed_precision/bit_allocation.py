"""Which widths harm least at a size, as far as the harms of parts add up.

1. For a price p of a bit, each weight has by itself what minimises harm + p * bits: with one step
   the best width, with a step per channel the best width of each of its parts, and of the two the
   better one. So each price gives the least harm at the size that comes of it (Everett,
   "Generalized Lagrange multiplier method", Operations Research 11, 1963).
   (In a file, where channels of one weight are stored as wide as its widest, that is a guide only.)
2. From the best of these that fits, or a uniform width if that is better, parts are widened while
   bytes are left, the most harm saved per bit first.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.space import WIDTHS, Genome

_PRICES = 128


def allocate(found: LayerTable, limits: Iterable[float]) -> list[Genome]:
    """For each limit a genome of that many bytes at most, where there is one; nothing is split.

    Args:
        found: the parts with their harm at each width.
        limits: bytes.
    """
    space = found.space
    genomes = [*priced(found), *(space.uniform(bits) for bits in WIDTHS)]
    sizes = np.array([space.size(genome) for genome in genomes])
    sensitivities = np.array([found.guess(genome) for genome in genomes])
    chosen = []
    for limit in limits:
        fitting = np.flatnonzero(sizes <= limit)
        if len(fitting):
            best = genomes[fitting[int(np.argmin(sensitivities[fitting]))]]
            chosen.append(_filled(found, best, limit))
    return chosen


def priced(found: LayerTable) -> list[Genome]:
    """The least harm for each of many prices of a bit, all different, the smallest size first."""
    space, parts = found.space, found.space.parts
    bits = np.array([[space.stored(part, width) for width in WIDTHS] for part in parts])
    sensitivities = found.sensitivity[found.sensitivity > 0]
    prices = [1.0]
    if sensitivities.size:  # from one at which no harm is worth a bit to one at which any is
        prices = np.geomspace(
            sensitivities.max(), sensitivities.min() / bits.max() / 8, _PRICES
        ).tolist()
    genomes: dict[bytes, Genome] = {}
    for price in prices:
        genome = space.uniform(WIDTHS[0])
        for name, own in space.indices.items():
            _choose(found, genome, name, own, bits[own], price)
        genomes.setdefault(genome.tobytes(), genome)
    return sorted(genomes.values(), key=space.size)


def _choose(
    found: LayerTable,
    genome: Genome,
    name: str,
    own: Sequence[int],
    bits: NDArray[np.int64],
    price: float,
) -> None:
    """Set the genes of one weight to what costs least at a price."""
    space, best = found.space, np.inf
    for kind in range(len(space.kinds) if name in space.free else 1):
        each = found.sensitivity[own, kind] + price * bits  # (parts, widths)
        if space.kinds[kind] == "channel":
            genes = each.argmin(axis=1)
            total = each.min(axis=1).sum()
            total += price * 8 * space.step_bytes * sum(space.parts[index].rows for index in own)
        else:
            genes = np.full(len(own), each.sum(axis=0).argmin())
            total = each.sum(axis=0).min() + price * 8 * space.step_bytes
        if total < best:
            best = total
            genome[own] = genes
            space.set_kind(genome, name, kind)


def _filled(found: LayerTable, genome: Genome, limit: float) -> Genome:
    """Widen parts while they fit, the most harm saved per bit first."""
    space, genome = found.space, genome.copy()
    closed: set[int] = set()  # parts that no longer fit, or gain nothing
    while True:
        gains = {}
        for index, part in enumerate(space.parts):
            if index in closed or genome[index] == len(WIDTHS) - 1:
                continue
            sensitivity, bits = found.cost_of(genome, part.weight)
            genome[index] += 1
            less, more = found.cost_of(genome, part.weight)
            if sensitivity > less and space.size(genome) <= limit:
                gains[index] = (sensitivity - less) / max(more - bits, 1)
            else:
                closed.add(index)
            genome[index] -= 1
        if not gains:
            return genome
        genome[max(gains, key=lambda index: gains[index])] += 1
