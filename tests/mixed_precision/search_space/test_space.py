"""Genomes: what they stand for, and how many bytes that takes."""

from dataclasses import replace

import numpy as np

from onnx_evoq.mixed_precision.search_space import (
    REFERENCE_WIDTH,
    SPLIT_SHARES,
    WIDTHS,
    Part,
    Space,
)

UNSPLIT = (0, 0, 0)

# "w" has channels 1 and 2 in one group and 0 in another, "v" is one part.
GROUPED = Space(
    (
        Part("w", np.array([1, 2]), 2, 10, UNSPLIT, 0, -1, -1, UNSPLIT),
        Part("w", np.array([0]), 1, 10, UNSPLIT, 0, -1, -1, UNSPLIT),
        Part("v", None, 3, 5, UNSPLIT, 0, -1, -1, UNSPLIT),
    ),
    (), {}, 100, False, ("tensor", "channel"), ("w", "v"),
)  # fmt: skip

# "a" and "b" are split together, "c" by itself; "c" reads "a" and "b", "d" reads "c".
SPLIT = Space(
    (
        Part("a", None, 8, 3, (0, 1, 2), 12, 0, -1, UNSPLIT),
        Part("b", None, 4, 3, (0, 1, 1), 8, 0, -1, UNSPLIT),
        Part("c", None, 6, 12, (0, 1, 2), 4, 1, 0, (0, 2, 3)),
        Part("d", None, 2, 6, UNSPLIT, 0, -1, 1, (0, 1, 2)),
    ),
    (("a", "b"), ("c",)), {}, 0,
)  # fmt: skip


def size(space: Space, *genes: int) -> int:
    return space.size(space.decode(np.array(genes)))


def test_the_first_share_splits_nothing() -> None:
    assert SPLIT_SHARES[0] == 0  # weights without a gene for it have this share


def test_the_reference_width_is_4_bits() -> None:
    assert WIDTHS[REFERENCE_WIDTH] == 4


def test_a_genome_has_a_gene_per_part_per_block_and_per_free_granularity() -> None:
    assert GROUPED.choices == [7, 7, 7, 2, 2]
    assert SPLIT.choices == [7, 7, 7, 7, 3, 3]


def test_a_uniform_genome_has_one_width_the_first_granularity_and_no_splits() -> None:
    assert GROUPED.uniform(5).tolist() == [3, 3, 3, 0, 0]
    assert SPLIT.uniform(8).tolist() == [6, 6, 6, 6, 0, 0]
    assert SPLIT.uniform(2).dtype == np.int64


def test_widths_and_granularities_are_encoded_in_their_genes() -> None:
    genome = GROUPED.encode(np.array([1, 2, 3]), {"v": 1, "w": 0})
    assert genome.tolist() == [1, 2, 3, 0, 1]


def test_a_weight_with_one_step_has_the_width_of_its_first_part() -> None:
    assert GROUPED.decode(np.array([1, 4, 6, 0, 0])).widths.tolist() == [1, 1, 6]
    assert GROUPED.decode(np.array([1, 4, 6, 1, 0])).widths.tolist() == [1, 4, 6]


def test_all_parts_of_a_weight_have_its_granularity() -> None:
    assert GROUPED.decode(np.array([0, 0, 0, 1, 0])).granularities.tolist() == [1, 1, 0]
    assert GROUPED.decode(np.array([0, 0, 0, 0, 1])).granularities.tolist() == [0, 0, 1]


def test_a_weight_without_a_gene_for_it_has_the_first_granularity() -> None:
    space = replace(GROUPED, granularity_genes=("v",))
    assert space.decode(np.array([1, 4, 6, 1])).granularities.tolist() == [0, 0, 1]


def test_parts_have_the_shares_of_their_own_block_and_of_the_block_that_they_read() -> None:
    choice = SPLIT.decode(np.array([0, 1, 2, 3, 1, 2]))
    assert choice.splits.tolist() == [1, 1, 2, 0]
    assert choice.input_splits.tolist() == [0, 0, 1, 2]
    assert choice.widths.tolist() == [0, 1, 2, 3]


def test_the_indices_of_a_weights_parts_are_listed() -> None:
    assert GROUPED.indices == {"w": [0, 1], "v": [2]}


def test_the_codes_of_each_weight_fill_whole_bytes() -> None:
    # 2 bits for w and 3 for v: 60 bits and 45 bits, and a step of 4 bytes for each.
    assert size(GROUPED, 0, 0, 1, 0, 0) == 100 + 8 + 6 + 2 * 4


def test_steps_per_channel_are_counted_for_each_channel() -> None:
    assert size(GROUPED, 0, 0, 1, 1, 0) == 100 + 8 + 6 + 3 * 4 + 4
    assert size(GROUPED, 0, 0, 1, 0, 1) == 100 + 8 + 6 + 4 + 3 * 4
    assert size(replace(GROUPED, step_bytes=1), 0, 0, 1, 0, 1) == 100 + 8 + 6 + 1 + 3


def test_groups_of_channels_count_at_their_own_widths() -> None:
    assert size(GROUPED, 0, 4, 1, 1, 0) == 100 + (20 * 2 + 10 * 6 + 4) // 8 + 6 + 3 * 4 + 4


def test_in_a_file_a_weight_is_as_wide_as_the_type_of_its_widest_channel() -> None:
    in_file = replace(GROUPED, in_file=True)
    assert size(in_file, 0, 4, 1, 1, 0) == 100 + 30 * 8 // 8 + 60 // 8 + 1 + 3 * 4 + 4
    assert size(in_file, 1, 0, 6, 1, 0) == 100 + 30 * 4 // 8 + 15 * 8 // 8 + 3 * 4 + 4


def test_codes_of_a_part_are_stored_at_the_width_of_an_onnx_type_in_a_file() -> None:
    in_file, part = replace(GROUPED, in_file=True), GROUPED.parts[0]
    for width, (bits, stored) in enumerate(zip(WIDTHS, (2, 4, 4, 8, 8, 8, 8), strict=True)):
        assert GROUPED.code_bits(part, width) == 20 * bits
        assert in_file.code_bits(part, width) == 20 * stored


def test_copies_add_their_codes_their_biases_and_columns_to_the_readers() -> None:
    steps = 4 * 4
    assert size(SPLIT, 6, 6, 6, 6, 0, 0) == 8 * 3 + 4 * 3 + 6 * 12 + 2 * 6 + steps
    one = 9 * 3 + 12 + 5 * 3 + 8 + 6 * (12 + 2) + 2 * 6 + steps
    assert size(SPLIT, 6, 6, 6, 6, 1, 0) == one
    both = 10 * 3 + 2 * 12 + 5 * 3 + 8 + 7 * (12 + 3) + 4 + 2 * (6 + 1) + steps
    assert size(SPLIT, 6, 6, 6, 6, 2, 1) == both


def test_copies_have_steps_of_their_own_where_channels_have() -> None:
    space = replace(SPLIT, granularities=("channel",))
    codes = 10 * 3 + 2 * 12 + 5 * 3 + 8 + 6 * (12 + 3) + 2 * 6
    assert size(space, 6, 6, 6, 6, 2, 0) == codes + (10 + 5 + 6 + 2) * 4


def test_a_policy_has_one_width_where_a_weight_has_one_step() -> None:
    policy = GROUPED.policy(GROUPED.decode(np.array([1, 4, 6, 0, 1])))
    assert policy.bits == {"w": 3, "v": 8}
    assert policy.granularity == {"w": "tensor", "v": "channel"}
    assert policy.expansion == {}


def test_a_policy_has_a_width_per_channel_where_groups_have_widths() -> None:
    policy = GROUPED.policy(GROUPED.decode(np.array([1, 4, 6, 1, 0])))
    assert policy.bits == {"w": (6, 3, 3), "v": 8}
    assert {type(width) for width in policy.bits["w"]} == {int}  # as JSON takes it
    assert policy.granularity == {"w": "channel", "v": "tensor"}


def test_a_policy_names_the_shares_of_the_layers_that_are_split() -> None:
    policy = SPLIT.policy(SPLIT.decode(np.array([0, 1, 2, 3, 2, 1])))
    assert policy.bits == {"a": 2, "b": 3, "c": 4, "d": 5}
    assert list(policy.expansion.items()) == [("a", 1 / 8), ("b", 1 / 8), ("c", 1 / 16)]
    assert SPLIT.policy(SPLIT.decode(np.array([0, 1, 2, 3, 0, 1]))).expansion == {"c": 1 / 16}


def test_copies_of_channels_come_last_with_the_widths_of_their_channels() -> None:
    parts = (
        Part("w", np.array([0, 3]), 2, 1, (0, 1, 1), 0, 0, -1, UNSPLIT),
        Part("w", np.array([1, 2]), 2, 1, (0, 0, 0), 0, 0, -1, UNSPLIT),
    )
    space = Space(parts, (("w",),), {"w": np.array([3, 1, 0, 2])}, 0, False, ("channel",))
    policy = space.policy(space.decode(np.array([5, 1, 1])))
    assert policy.bits == {"w": (7, 3, 3, 7, 7)}  # channel 3 is split first
    assert policy.expansion == {"w": 1 / 16}
