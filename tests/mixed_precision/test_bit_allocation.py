"""Greedy bit allocation: the least sum of sensitivities within a size."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from onnx_evoq.mixed_precision.bit_allocation import allocate, least_at_price, least_at_prices
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.layer_table.variants import LayerVariants
from onnx_evoq.mixed_precision.search_space import WIDTHS, Genome, Part, Space

UNSPLIT = (0, 0, 0)


def table_of(space: Space, sensitivity: np.ndarray) -> LayerTable:
    layers = LayerVariants(None, {}, {}, {}, {})  # type: ignore[arg-type]
    return LayerTable(space, layers, sensitivity, np.ones((*sensitivity.shape, 3)))


def part(weight: str, rows: int, columns: int, channels: list[int] | None = None) -> Part:
    own = None if channels is None else np.array(channels)
    return Part(weight, own, rows, columns, UNSPLIT, 0, -1, -1, UNSPLIT)


def falling(*scales: float) -> np.ndarray:
    """Sensitivities (parts, 1, widths) that fall to a quarter with each bit."""
    return np.array(scales)[:, None, None] * 4.0 ** -np.arange(len(WIDTHS))


# Two weights of 24 and 18 codes, with one step each; a split may not be chosen.
PLAIN = table_of(
    Space((part("a", 6, 4), part("b", 3, 6)), (("a",),), {}, 50),
    np.concatenate([falling(3.0), 5 * falling(1.0) ** 0.7]),
)

# A weight of two groups, with one step or one per channel.
GROUPED = table_of(
    Space(
        (part("w", 4, 10, [0, 1, 2, 3]), part("w", 4, 10, [4, 5, 6, 7]), part("v", 2, 30)),
        (), {}, 0, False, ("tensor", "channel"), ("w", "v"),
    ),
    np.concatenate([falling(8.0, 1.0, 1.0), falling(4.0, 0.5, 0.99)], axis=1),
)  # fmt: skip


def genomes_of(table: LayerTable) -> list[Genome]:
    """All genomes that split nothing."""
    choices = [1 if k == 3 else n for k, n in enumerate(table.space.choices)]
    if not table.space.blocks:
        choices = table.space.choices
    return [np.array(genes) for genes in product(*map(range, choices))]


def size(table: LayerTable, genome: Genome) -> int:
    return table.space.size(table.space.decode(genome))


def error(table: LayerTable, genome: Genome) -> float:
    return table.predicted_error(table.space.decode(genome))


def bits(table: LayerTable, genome: Genome) -> int:
    choice = table.space.decode(genome)
    return sum(table.cost_of(choice, name)[1] for name in table.space.indices)


@pytest.fixture(scope="module")
def all_of() -> dict[str, list[tuple[int, int, float]]]:
    """The bits, bytes and predicted error of all genomes of both tables."""
    tables = {"plain": PLAIN, "grouped": GROUPED}
    return {
        name: [(bits(t, g), size(t, g), error(t, g)) for g in genomes_of(t)]
        for name, t in tables.items()
    }


@pytest.mark.parametrize("name", ["plain", "grouped"])
def test_no_genome_beats_the_one_of_a_price_with_as_many_bits(
    name: str, all_of: dict[str, list[tuple[int, int, float]]]
) -> None:
    table = PLAIN if name == "plain" else GROUPED
    for genome in least_at_prices(table):
        least = min(e for b, _, e in all_of[name] if b <= bits(table, genome))
        assert error(table, genome) == pytest.approx(least)


@pytest.mark.parametrize("name", ["plain", "grouped"])
def test_at_each_price_no_genome_has_less_sensitivity_and_bits(
    name: str, all_of: dict[str, list[tuple[int, int, float]]]
) -> None:
    table = PLAIN if name == "plain" else GROUPED
    parts, widths = table.space.parts, range(len(WIDTHS))
    code_bits = np.array([[table.space.code_bits(p, width) for width in widths] for p in parts])
    rows = np.array([(b, e) for b, _, e in all_of[name]])
    for price in np.geomspace(1, 1e-6, 40):
        genome = least_at_price(table, code_bits, price)
        total = error(table, genome) + price * bits(table, genome)
        assert total == pytest.approx((rows[:, 1] + price * rows[:, 0]).min())


def test_the_lowest_price_pays_for_a_bit_that_saves_a_tenth() -> None:
    sensitivity = np.array([[0.9 ** np.arange(7)]] * 2)
    assert least_at_prices(replace(PLAIN, sensitivity=sensitivity))[-1].tolist() == [6, 6, 0]


@pytest.mark.parametrize("table", [PLAIN, GROUPED])
def test_prices_reach_from_the_narrowest_to_the_widest_genome(table: LayerTable) -> None:
    genomes = least_at_prices(table)
    parts = len(table.space.parts)
    assert set(genomes[0][:parts]) == {0}
    assert set(genomes[-1][:parts]) == {6}
    sizes = [size(table, genome) for genome in genomes]
    assert sizes == sorted(sizes)
    assert len({genome.tobytes() for genome in genomes}) == len(genomes) > 8


@pytest.mark.parametrize("name", ["plain", "grouped"])
def test_the_bytes_of_a_limit_are_used_up(
    name: str, all_of: dict[str, list[tuple[int, int, float]]]
) -> None:
    table = PLAIN if name == "plain" else GROUPED
    low, high = (size(table, table.space.uniform(b)) for b in (2, 8))
    for limit in range(low, high + 1, 1 if name == "plain" else 7):
        (genome,) = allocate(table, [limit])
        assert size(table, genome) <= limit
        least = min(e for _, s, e in all_of[name] if s <= limit)
        assert error(table, genome) <= 1.6 * least


def test_a_limit_is_met_to_the_byte() -> None:
    (genome,) = allocate(PLAIN, [size(PLAIN, PLAIN.space.uniform(8))])
    assert genome.tolist() == [6, 6, 0]


@pytest.mark.parametrize(("gain", "widths"), [(1.0, [0, 1, 0]), (3.0, [1, 0, 0])])
def test_the_part_that_saves_most_sensitivity_per_bit_is_widened_first(
    gain: float, widths: list[int]
) -> None:
    # Prices give 2 or 4 bits, as the third bit saves less than the fourth. 3 bytes are left: 24
    # bits for "a", which saves `gain`, or 18 for "b", which saves 2.
    sensitivity = np.array([[[10.0, 10 - gain] + [0.0] * 5], [[10.0, 8.0] + [0.0] * 5]])
    table = replace(PLAIN, sensitivity=sensitivity)
    (genome,) = allocate(table, [size(table, table.space.uniform(2)) + 3])
    assert genome.tolist() == widths


def test_a_uniform_width_is_taken_where_it_is_better() -> None:
    # Prices give 2 or 5 bits, as three bits save more than 3 / 2 of what two bits save.
    sensitivity = np.array([[[10.0, 10.0, 4.0] + [0.0] * 4]] * 2)
    table = replace(PLAIN, sensitivity=sensitivity)
    (genome,) = allocate(table, [size(table, table.space.uniform(4))])
    assert genome.tolist() == [2, 2, 0]


def test_in_a_file_no_genome_is_larger_than_its_limit() -> None:
    table = replace(GROUPED, space=replace(GROUPED.space, in_file=True))
    limits = [size(table, table.space.uniform(width)) for width in WIDTHS]
    genomes = allocate(table, limits)
    assert all(size(table, g) <= limit for g, limit in zip(genomes, limits, strict=True))


def test_steps_per_channel_are_chosen_where_they_pay() -> None:
    table = replace(GROUPED, sensitivity=GROUPED.sensitivity.copy())
    table.sensitivity[:2, 1] /= 100  # "w" gains much by them, "v" nearly nothing
    (genome,) = allocate(table, [size(table, table.space.uniform(5))])
    assert genome[3:].tolist() == [1, 0]


def test_the_price_of_steps_counts() -> None:
    # One more bit would save less than the bytes of a step for each of eight channels cost.
    table = replace(GROUPED, sensitivity=GROUPED.sensitivity.copy())
    table.sensitivity[:, 1] = 0.999 * table.sensitivity[:, 0]
    for genome in least_at_prices(table)[:-8]:
        assert genome[3:].tolist() == [0, 0]


def test_groups_that_are_more_sensitive_are_wider() -> None:
    only = replace(
        GROUPED,
        space=replace(GROUPED.space, granularities=("channel",), granularity_genes=()),
        sensitivity=GROUPED.sensitivity[:, 1:].copy(),
        split_factor=GROUPED.split_factor[:, 1:],
    )
    (genome,) = allocate(only, [size(only, only.space.uniform(5))])
    assert genome[0] > genome[1]


def test_a_weight_without_a_gene_for_it_keeps_the_first_granularity() -> None:
    space = replace(GROUPED.space, granularity_genes=("v",))
    table = replace(GROUPED, space=space, sensitivity=GROUPED.sensitivity.copy())
    table.sensitivity[:, 1] /= 100
    for genome in least_at_prices(table):
        assert len(genome) == 4
        assert space.decode(genome).granularities[0] == 0


def test_a_limit_that_no_genome_fits_has_none() -> None:
    assert allocate(PLAIN, [10]) == []
    assert len(allocate(PLAIN, [10, 1000])) == 1


def test_weights_without_sensitivity_stay_narrow() -> None:
    table = replace(PLAIN, sensitivity=np.zeros((2, 1, 7)))
    assert [g.tolist() for g in allocate(table, [10_000])] == [[0, 0, 0]]
