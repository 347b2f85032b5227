"""The least harm at a size, where harms add up."""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from graphs import fire, mlp, random, task_of

from onnx_evoq.mixed_precision.bit_allocation import allocate, priced
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.space import WIDTHS
from onnx_evoq.model import load

BOTH = ("tensor", "channel")


@cache
def found(groups: bool = False, kinds: Any = BOTH, in_file: bool = False) -> LayerTable:
    x = random(24, 2, 6, 6, seed=9)
    task = task_of(load(fire()), x, x[:8])
    return build_layer_table(task, np.random.default_rng(0), True, groups, in_file, kinds)


@cache
def small() -> LayerTable:
    """Two layers of 24 and 18 codes, with one step each."""
    x = random(16, 4)
    task = task_of(load(mlp()), x, x[:8])
    return build_layer_table(task, np.random.default_rng(0), False, False, False)


def bits_of(candidates: LayerTable, genome: np.ndarray) -> int:
    return sum(candidates.cost_of(genome, name)[1] for name in candidates.space.indices)


def all_genomes(candidates: LayerTable) -> list[np.ndarray]:
    return [np.array(genes) for genes in product(*map(range, candidates.space.choices))]


def test_no_genome_of_a_price_can_be_beaten_with_its_bits() -> None:
    candidates = small()
    genomes = priced(candidates)
    assert genomes[0].tolist() == [0, 0]
    assert genomes[-1].tolist() == [6, 6]
    for genome in genomes:
        bits = bits_of(candidates, genome)
        fitting = [g for g in all_genomes(candidates) if bits_of(candidates, g) <= bits]
        least = min(candidates.guess(g) for g in fitting)
        assert candidates.guess(genome) == pytest.approx(least)


def test_bytes_that_are_left_are_filled() -> None:
    candidates = small()
    space = candidates.space
    low, high = space.size(space.uniform(2)), space.size(space.uniform(8))
    for limit in range(low, high + 1):
        (genome,) = allocate(candidates, [limit])
        assert space.size(genome) <= limit
        fitting = [g for g in all_genomes(candidates) if space.size(g) <= limit]
        assert candidates.guess(genome) <= 1.5 * min(candidates.guess(g) for g in fitting)


def test_what_harms_most_per_bit_is_widened_first() -> None:
    sensitivity = np.zeros((2, 1, 7))
    sensitivity[0, 0] = 24 * 2.0 ** np.arange(7, 0, -1)  # per code as much as the other
    sensitivity[1, 0] = 18 * 4.0 ** np.arange(7, 0, -1)  # for each code, much more
    candidates = replace(small(), sensitivity=sensitivity)
    for genome in priced(candidates)[1:-1]:
        assert genome[1] > genome[0]


def test_steps_per_channel_are_taken_where_they_pay() -> None:
    candidates = found()
    sensitivity = candidates.sensitivity.copy()
    sensitivity[1, 1] = sensitivity[1, 0] / 100  # of "one", a step per channel helps much
    sensitivity[0, 1] = sensitivity[0, 0]  # of "squeeze", not at all
    space = candidates.space
    (genome,) = allocate(
        replace(candidates, sensitivity=sensitivity), [space.size(space.uniform(5))]
    )
    assert space.kind(genome, "one") == 1
    assert space.kind(genome, "squeeze") == 0


def test_channels_that_mind_more_have_more_bits() -> None:
    candidates = found(groups=True, kinds=("channel",))
    space, sensitivity = candidates.space, candidates.sensitivity.copy()
    of_three = [k for k, part in enumerate(space.parts) if part.weight == "three"]
    sensitivity[of_three[0]] *= 1000
    (genome,) = allocate(
        replace(candidates, sensitivity=sensitivity), [space.size(space.uniform(5))]
    )
    widths = space.widths(genome)
    assert widths[of_three[0]] > max(widths[k] for k in of_three[1:])


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("in_file", [False, True])
def test_no_genome_is_larger_than_its_limit(groups: bool, in_file: bool) -> None:
    candidates = found(groups, in_file=in_file)
    space = candidates.space
    limits = [space.size(space.uniform(bits)) for bits in WIDTHS]
    genomes = allocate(candidates, limits)
    assert len(genomes) == len(limits)
    for limit, genome, bits in zip(limits, genomes, WIDTHS, strict=True):
        assert space.size(genome) <= limit
        assert candidates.guess(genome) <= candidates.guess(space.uniform(bits)) * (1 + 1e-9)


def test_where_nothing_fits_there_is_no_genome() -> None:
    assert allocate(found(), [10]) == []


def test_weights_that_harm_nothing_stay_narrow() -> None:
    candidates = replace(small(), sensitivity=np.zeros((2, 1, 7)))
    assert [g.tolist() for g in allocate(candidates, [10_000])] == [[0, 0]]
