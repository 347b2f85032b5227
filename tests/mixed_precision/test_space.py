"""Genomes: what they stand for, and how many bytes that takes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from graphs import conv_net, fire, flat, mlp, random, recurrent, task_of
from numpy.typing import NDArray
from onnx import ModelProto

from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.point import build_point
from onnx_evoq.mixed_precision.space import SPLIT_SHARES, WIDTHS, Part, Space, blocks_of
from onnx_evoq.model import ChannelReader, Model, fold_batch_norm, load
from onnx_evoq.setup.task import Task


def shaped(model: ModelProto, *shape: int) -> tuple[Model, NDArray[np.generic]]:
    return fold_batch_norm(load(model))[0], random(24, *shape, seed=9)


MODELS = {
    "mlp": shaped(mlp(), 4),
    "conv": shaped(conv_net(), 3, 8, 8),
    "fire": shaped(fire(), 2, 6, 6),
    "flat": shaped(flat(), 3, 2, 2),
    "recurrent": (load(recurrent()), np.random.default_rng(0).integers(0, 7, size=(24, 5))),
}


@cache
def found(name: str, groups: bool) -> tuple[Task, LayerTable]:
    """Candidates for a model, with a width per tensor or per group of channels."""
    model, x = MODELS[name]
    task = task_of(model, x, x[:8], granularity="channel" if groups else "tensor")
    return task, build_layer_table(
        task, np.random.default_rng(0), True, groups, False, ("channel",) if groups else ("tensor",)
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("groups", [False, True])
def test_the_size_of_a_genome_is_that_of_its_model(name: str, groups: bool) -> None:
    task, candidates = found(name, groups)
    space, rng = candidates.space, np.random.default_rng(1)
    for genome in [space.uniform(5), *(rng.integers(0, space.choices) for _ in range(3))]:
        point = build_point(task, space.policy(genome), 0, lambda _: 0.0)
        assert space.size(genome) == point.packed_bytes


@pytest.mark.parametrize("groups", [False, True])
def test_steps_may_be_per_tensor_or_per_channel(groups: bool) -> None:
    model, x = MODELS["fire"]
    task = task_of(model, x, x[:8])
    kinds = ("tensor", "channel")
    space = build_layer_table(task, np.random.default_rng(0), True, groups, False, kinds).space
    assert space.free == ("squeeze", "one", "three", "last")
    rng = np.random.default_rng(2)
    for genome in (rng.integers(0, space.choices) for _ in range(4)):
        policy = space.policy(genome)
        point = build_point(task, policy, 0, lambda _: 0.0)
        assert space.size(genome) == point.packed_bytes
        for name, kind in zip(space.free, genome[-4:], strict=True):
            assert policy.granularity[name] == kinds[kind]
            assert kind or isinstance(policy.bits[name], int)  # one step: one width


def test_with_one_step_a_weight_has_the_width_of_its_first_part() -> None:
    parts = [Part("w", np.array([k]), 1, 10, (0, 0, 0), 0, -1, -1, (0, 0, 0)) for k in range(2)] + [
        Part("v", None, 3, 5, (0, 0, 0), 0, -1, -1, (0, 0, 0))
    ]
    space = Space(tuple(parts), (), {}, {"w": 2}, 0, False, ("tensor", "channel"), ("w", "v"))
    assert space.choices == [7, 7, 7, 2, 2]
    assert space.widths(np.array([1, 4, 6, 0, 0])) == [3, 3, 8]
    assert space.widths(np.array([1, 4, 6, 1, 0])) == [3, 6, 8]
    assert space.policy(np.array([1, 4, 6, 0, 1])).bits == {"w": 3, "v": 8}
    assert space.policy(np.array([1, 4, 6, 1, 1])).bits == {"w": (3, 6), "v": 8}
    assert space.policy(space.uniform(3)).granularity == {"w": "tensor", "v": "tensor"}


def test_a_genome_is_a_width_per_part_and_a_share_per_block() -> None:
    space = found("fire", False)[1].space
    assert [part.weight for part in space.parts] == ["squeeze", "one", "three", "last"]
    assert space.blocks == (("squeeze",), ("one", "three"))
    assert space.choices == [7, 7, 7, 7, 3, 3]
    policy = space.policy(np.array([0, 2, 3, 6, 1, 2]))
    assert policy.bits == {"squeeze": 2, "one": 4, "three": 5, "last": 8}
    assert policy.expansion == {"squeeze": 1 / 16, "one": 1 / 8, "three": 1 / 8}


def test_a_uniform_genome_splits_nothing() -> None:
    space = found("fire", False)[1].space
    for bits in WIDTHS:
        policy = space.policy(space.uniform(bits))
        assert policy.bits == dict.fromkeys(["squeeze", "one", "three", "last"], bits)
        assert policy.expansion == {}


def test_groups_of_channels_have_widths_of_their_own() -> None:
    space = found("conv", True)[1].space  # 6, 6 and 5 channels: too few for two groups
    assert [part.channels.tolist() for part in space.parts] == [[*range(k)] for k in (6, 6, 5)]
    space = found("fire", True)[1].space
    of_three = [part for part in space.parts if part.weight == "three"]
    assert sorted(np.concatenate([p.channels for p in of_three]).tolist()) == list(range(17))
    assert [part.rows for part in of_three] == [5, 4, 4, 4]


def test_copies_of_a_channel_have_its_width() -> None:
    space = found("fire", True)[1].space
    genome = space.uniform(2)
    widths = np.arange(len(space.parts)) % 7
    genome[: len(widths)] = widths
    genome[len(widths) :] = 2
    bits = space.policy(genome).bits["three"]
    first = space.orders["three"][:3]  # an eighth of 17
    assert bits[17:] == tuple(bits[channel] for channel in first)


def test_by_file_a_weight_takes_what_its_widest_channel_takes() -> None:
    parts = [
        Part("w", np.array([0, 1]), 2, 10, (0, 0, 0), 0, -1, -1, (0, 0, 0)),
        Part("w", np.array([2]), 1, 10, (0, 0, 0), 0, -1, -1, (0, 0, 0)),
        Part("v", None, 3, 5, (0, 0, 0), 0, -1, -1, (0, 0, 0)),
    ]
    packed = Space(tuple(parts), (), {}, {"w": 3}, 100, False, ("tensor", "channel"), ("w",))
    genome = np.array([0, 4, 1, 1])  # 2 and 6 bits of w, a step for each channel, 3 of v
    assert packed.size(genome) == 100 + 4 * 3 + 4 + (20 * 2 + 10 * 6 + 7) // 8 + (15 * 3 + 7) // 8
    in_file = replace(packed, in_file=True)
    assert in_file.size(genome) == 100 + 4 * 3 + 4 + 30 * 8 // 8 + (15 * 4 + 7) // 8


def test_a_copy_adds_its_codes_and_what_else_it_has() -> None:
    writes = Part("w", None, 8, 3, (0, 1, 2), 12, 0, -1, (0, 0, 0))
    reads = Part("v", None, 4, 8, (0, 0, 0), 0, -1, 0, (0, 1, 2))
    space = Space((writes, reads), (("w",),), {"w": np.arange(8)}, {}, 0)
    plain, split = space.uniform(8), np.array([6, 6, 2])
    assert space.size(plain) == 8 * 3 + 4 * 8 + 2 * 4  # steps
    assert space.size(split) == 10 * 3 + 2 * 12 + 4 * 10 + 2 * 4
    stepped = replace(space, kinds=("channel",))
    assert stepped.size(split) == 10 * 3 + 2 * 12 + 4 * 10 + (10 + 4) * 4


def read_by(*weights: str) -> list[ChannelReader]:
    return [ChannelReader(weight, 1, 0, 1) for weight in weights]


def test_layers_that_a_layer_reads_side_by_side_are_one_block() -> None:
    readers = {"a": read_by("c"), "b": read_by("c", "d"), "c": read_by("e"), "x": read_by("d")}
    assert blocks_of(readers, list("abcdex")) == [["c"], ["a", "b", "x"]]


def test_what_joins_two_blocks_makes_them_one() -> None:
    readers = {"a": read_by("d"), "b": read_by("e"), "c": read_by("d", "e")}
    (block,) = blocks_of(readers, list("abcde"))
    assert sorted(block) == ["a", "b", "c"]


@pytest.mark.parametrize("kept", ["a", "b"])
def test_a_layer_that_stays_float_splits_nothing(kept: str) -> None:
    readers = {"a": read_by("b")}
    assert blocks_of(readers, [name for name in "ab" if name != kept]) == []


def test_shares_begin_with_none() -> None:
    assert SPLIT_SHARES[0] == 0  # `share_of` gives place 0 where there is nothing to split
