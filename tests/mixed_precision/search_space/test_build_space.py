"""The search space of a model: its parts, its blocks, and what each choice adds."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import conv_net, fire, flat, mlp, model_of, node, random, recurrent

from onnx_evoq.mixed_precision.search_space import (
    ChannelSplits,
    SearchSpaceOptions,
    Space,
    build_space,
    find_splits,
)
from onnx_evoq.mixed_precision.search_space.build_space import find_blocks
from onnx_evoq.mixed_precision.search_space.policy import expanded
from onnx_evoq.model import (
    ChannelReader,
    Model,
    find_weights,
    fold_batch_norm,
    load,
    own_biases,
    packed_bytes,
    weights_named,
)
from onnx_evoq.quantize import Scale
from onnx_evoq.setup import nearest_of

MODELS = {
    "mlp": load(mlp()),
    "conv": fold_batch_norm(load(conv_net()))[0],
    "fire": load(fire()),
    "flat": load(flat()),
    "recurrent": load(recurrent()),
}
BOTH = ("tensor", "channel")


def with_own_biases(name: str) -> Model:
    model = MODELS[name]
    return own_biases(model, [weight.name for weight in find_weights(model)[0]])


def space_of(
    name: str,
    groups: dict[str, list[np.ndarray]] | None = None,
    scale: Scale = "pow2",
    **options: object,
) -> Space:
    model, options = with_own_biases(name), SearchSpaceOptions(**options)
    weights = find_weights(model)[0]
    splits = find_splits(model, weights, options.expansion)
    return build_space(model, weights, groups or {}, splits, scale, options)


GROUPS = {
    "mlp": {"first": [np.array([0, 2]), np.array([1, 3, 4, 5])]},
    "conv": {"w2": [np.array([5, 1]), np.array([0, 2, 3, 4])]},
    "fire": {"three": [np.arange(9), np.arange(9, 17)], "one": [np.array([4]), np.arange(4)]},
    "flat": {"wide": [np.arange(4), np.arange(4, 9)]},
    "recurrent": {},
}


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("name", MODELS)
def test_the_size_of_a_genome_is_the_packed_size_of_its_model(name: str, scale: Scale) -> None:
    model, rng = with_own_biases(name), np.random.default_rng(1)
    space = space_of(name, GROUPS[name], scale, per_channel=True, granularities=BOTH)
    names = {weight.name for weight in find_weights(model)[0]}
    for genome in [space.uniform(5), *(rng.integers(0, space.choices) for _ in range(8))]:
        choice = space.decode(genome)
        policy = space.policy(choice)
        split = expanded(model, policy.expansion)
        granularities = policy.granularities("tensor")
        weights = weights_named(split, names)
        quantized = nearest_of(weights, policy.bits, granularities, scale)
        assert space.size(choice) == packed_bytes(split, quantized)


def test_by_default_channels_are_split_and_have_the_width_and_the_step_of_their_layer() -> None:
    assert SearchSpaceOptions() == SearchSpaceOptions(True, False, False, ("tensor",))


def test_a_weight_without_a_channel_axis_is_one_row() -> None:
    table = space_of("recurrent").parts[0]
    assert (table.weight, table.rows, table.columns) == ("table", 1, 7 * 4)


def test_a_weight_without_groups_is_one_part() -> None:
    space = space_of("fire")
    assert [part.weight for part in space.parts] == ["squeeze", "one", "three", "last"]
    assert [part.channels for part in space.parts] == [None] * 4
    assert [part.rows for part in space.parts] == [9, 5, 17, 3]
    assert [part.columns for part in space.parts] == [2, 9, 81, 22]


def test_blocks_are_split_and_read_by_index() -> None:
    space = space_of("fire")
    assert space.blocks == (("squeeze",), ("one", "three"))
    assert [part.block for part in space.parts] == [0, 1, 1, -1]
    assert [part.input_block for part in space.parts] == [-1, 0, 0, 1]


def test_copies_are_counted_for_each_share_of_the_channels() -> None:
    space = space_of("fire", {"three": [np.arange(9), np.arange(9, 17)]})
    copies = {"squeeze": [(0, 1, 2)], "one": [(0, 1, 1)], "last": [(0, 0, 0)]}
    for name, expected in copies.items():
        assert [space.parts[k].copies for k in space.indices[name]] == expected
    low, high = (space.parts[k].copies for k in space.indices["three"])
    split = [space.orders["three"][:count] for count in (0, 2, 3)]
    assert list(low) == [(channels < 9).sum() for channels in split]
    assert list(high) == [(channels >= 9).sum() for channels in split]


def test_readers_get_columns_for_each_copied_channel() -> None:
    added = {part.weight: part.added_columns for part in space_of("fire").parts}
    assert added["one"] == (0, 1, 2)
    assert added["three"] == (0, 9, 18)  # a kernel of 3 x 3
    assert added["last"] == (0, 1 + 2, 1 + 3)  # of both layers that it reads
    flattened = {part.weight: part.added_columns for part in space_of("flat").parts}
    assert flattened["wide"] == (0, 16, 32)  # a channel is 16 features


def test_in_a_file_a_step_is_a_float() -> None:
    assert space_of("mlp").step_bytes == 1  # the exponent of a power of two
    assert space_of("mlp", in_file=True).step_bytes == 4
    assert space_of("mlp", scale="float").step_bytes == 4
    assert space_of("mlp", in_file=True).in_file


def test_granularity_is_a_choice_for_weights_with_a_channel_axis() -> None:
    space = space_of("recurrent", granularities=BOTH)
    axes = {weight.name: weight.axis for weight in find_weights(MODELS["recurrent"])[0]}
    assert space.granularity_genes == tuple(n for n, axis in axes.items() if axis is not None)
    assert space.granularities == BOTH


def test_one_granularity_is_no_choice() -> None:
    assert space_of("mlp", granularities=("channel",)).granularity_genes == ()


def test_without_expansion_nothing_can_be_split() -> None:
    space = space_of("fire", expansion=False)
    assert space.blocks == ()
    assert {part.block for part in space.parts} == {part.input_block for part in space.parts}
    assert {part.copies for part in space.parts} == {(0, 0, 0)}


def test_input_entries_follow_the_order_of_the_channels() -> None:
    readers = {"a": [ChannelReader("c", 1, 0, 2)], "b": [ChannelReader("c", 1, 6, 1)]}
    orders = {"a": np.array([2, 0, 1]), "b": np.array([1, 0])}
    splits = ChannelSplits([["a", "b"]], readers, orders)
    assert splits.input_entries("c", 0.0) == []
    assert splits.input_entries("c", 0.5) == [4, 5, 0, 1, 7]
    assert splits.input_entries("a", 0.5) == []
    assert splits.sources == {"c": [("a", readers["a"][0]), ("b", readers["b"][0])]}


def test_layers_of_no_block_are_no_sources() -> None:
    readers = {"a": [ChannelReader("c", 1, 0, 1)], "b": [ChannelReader("d", 1, 0, 1)]}
    splits = ChannelSplits([["b"]], readers, {"a": np.arange(2), "b": np.arange(2)})
    assert list(splits.sources) == ["d"]


def read_by(*weights: str) -> list[ChannelReader]:
    return [ChannelReader(weight, 1, 0, 1) for weight in weights]


def blocks(readers: dict[str, list[ChannelReader]], names: Sequence[str]) -> list[list[str]]:
    return [sorted(block) for block in find_blocks(readers, names)]


def test_layers_that_one_layer_reads_side_by_side_are_one_block() -> None:
    readers = {"a": read_by("c"), "b": read_by("c", "d"), "c": read_by("e"), "x": read_by("d")}
    assert find_blocks(readers, list("abcdex")) == [["c"], ["a", "b", "x"]]


def test_a_layer_that_reads_two_blocks_makes_them_one() -> None:
    readers = {"a": read_by("d"), "b": read_by("e"), "c": read_by("d", "e")}
    assert blocks(readers, list("abcde")) == [["a", "b", "c"]]


def test_a_layer_that_is_read_twice_by_one_layer_is_one_block() -> None:
    readers = {"a": read_by("c", "d"), "b": read_by("c", "d")}
    assert blocks(readers, list("abcd")) == [["a", "b"]]


@pytest.mark.parametrize("kept", ["a", "b"])
def test_a_layer_that_stays_float_or_is_read_by_one_is_not_split(kept: str) -> None:
    readers = {"a": read_by("b")}
    assert find_blocks(readers, [name for name in "ab" if name != kept]) == []


def test_blocks_are_found_among_the_weights_that_are_quantized() -> None:
    nodes = [node("MatMul", ["x", "a"], ["h"]), node("MatMul", ["h", "b"], ["y"])]
    weights = {"a": random(4, 8), "b": random(8, 3)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights))
    both = find_weights(model)[0]
    assert find_splits(model, both, True).blocks == [["a"]]
    assert find_splits(model, both[:1], True).blocks == []
    assert find_splits(model, both, False).blocks == []
