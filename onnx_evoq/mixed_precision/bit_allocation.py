"""Greedy bit allocation: the widths with the least sum of sensitivities within a size.

1. For a price p of a bit, each weight by itself minimises sensitivity + p * bits. With one step
   per tensor that is the best width of the weight; with a step per channel, the best width of each
   of its parts; of these two it takes the better one. So each price gives the least sum of
   sensitivities at the size that comes of it (Everett, "Generalized Lagrange multiplier method",
   Operations Research 11, 1963). In a file, where the channels of one weight are stored as wide as
   its widest, this is only a heuristic.
2. The best of these that fits is taken, or a uniform width if that is better. Then parts are
   widened while bytes are left, those first that save the most sensitivity per bit.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Indices
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.search_space import WIDTHS, Genome

_PRICES = 128


def allocate(table: LayerTable, limits: Iterable[float]) -> list[Genome]:
    """For each limit that any genome fits, a genome of at most so many bytes; nothing is split.

    Args:
        table: the sensitivity of each part at each width.
        limits: bytes.
    """
    space = table.space
    genomes = [*least_at_prices(table), *(space.uniform(bits) for bits in WIDTHS)]
    choices = [space.decode(genome) for genome in genomes]
    sizes = np.array([space.size(choice) for choice in choices])
    errors = np.array([table.predicted_error(choice) for choice in choices])
    allocated = []
    for limit in limits:
        fitting = np.flatnonzero(sizes <= limit)
        if len(fitting):
            best = genomes[fitting[int(np.argmin(errors[fitting]))]]
            allocated.append(_widen(table, best, limit))
    return allocated


def least_at_prices(table: LayerTable) -> list[Genome]:
    """The genomes with the least sensitivity + price * bits, all different, smallest first.

    The prices reach from one at which no sensitivity is worth a bit to one at which any is.
    """
    space = table.space
    code_bits = np.array(
        [[space.code_bits(part, width) for width in range(len(WIDTHS))] for part in space.parts]
    )
    positive = table.sensitivity[table.sensitivity > 0]
    prices = [1.0]
    if positive.size:
        prices = np.geomspace(
            positive.max(), positive.min() / code_bits.max() / 8, _PRICES
        ).tolist()
    genomes = {}
    for price in prices:
        genome = least_at_price(table, code_bits, price)
        genomes[genome.tobytes()] = genome
    return sorted(genomes.values(), key=lambda genome: space.size(space.decode(genome)))


def least_at_price(table: LayerTable, code_bits: NDArray[np.int64], price: float) -> Genome:
    """The genome with the least sensitivity + price * bits, in which nothing is split.

    Args:
        table: the sensitivity of each part at each width.
        code_bits: (parts, widths), the bits of each part's codes.
        price: of a bit.
    """
    widths, granularities = np.zeros(len(table.space.parts), np.intp), {}
    for weight, own in table.space.indices.items():
        widths[own], granularities[weight] = _least_of(table, weight, own, code_bits[own], price)
    return table.space.encode(widths, granularities)


def _least_of(
    table: LayerTable,
    weight: str,
    own: Sequence[int],
    code_bits: NDArray[np.int64],
    price: float,
) -> tuple[Indices, int]:
    """The widths of a weight's parts and its granularity, as indices, that cost least at a price.

    Args:
        table: the sensitivities.
        weight: its name.
        own: the indices of its parts.
        code_bits: (parts of the weight, widths).
        price: of a bit.
    """
    space = table.space
    step_cost = price * 8 * space.step_bytes
    searched = len(space.granularities) if weight in space.granularity_genes else 1
    options = []
    for granularity in range(searched):
        costs = table.sensitivity[own, granularity] + price * code_bits  # (parts, widths)
        if space.granularities[granularity] == "channel":
            widths = costs.argmin(axis=1)
            total = costs.min(axis=1).sum() + step_cost * sum(space.parts[k].rows for k in own)
        else:
            widths = np.full(len(own), costs.sum(axis=0).argmin())
            total = costs.sum(axis=0).min() + step_cost
        options.append((total, widths, granularity))
    _, widths, granularity = min(options, key=lambda option: option[0])
    return widths, granularity


def _widen(table: LayerTable, genome: Genome, limit: float) -> Genome:
    """Widen parts while they fit, those first that save the most sensitivity per bit."""
    space = table.space
    closed: set[int] = set()  # parts that no longer fit, or whose sensitivity does not fall
    while True:
        choice, gains, widened = space.decode(genome), {}, {}
        for index, part in enumerate(space.parts):
            if index in closed or genome[index] == len(WIDTHS) - 1:
                continue
            wider = genome.copy()
            wider[index] += 1
            wider_choice = space.decode(wider)
            sensitivity, bits = table.cost_of(choice, part.weight)
            less, more = table.cost_of(wider_choice, part.weight)
            if sensitivity > less and space.size(wider_choice) <= limit:
                gains[index] = (sensitivity - less) / max(more - bits, 1)
                widened[index] = wider
            else:
                closed.add(index)
        if not gains:
            return genome
        genome = widened[max(gains, key=lambda index: gains[index])]
