"""The channels after a node."""

import pytest
from graphs import node

from onnx_evoq.model.channels.channel_flow import (
    Channels,
    channels_after,
    combined_channels,
    concatenated_channels,
    constants_axis,
    flattened_channels,
    reduced_channels,
)

MAPS = Channels((("w", 8),), axis=-3, rank=4)
TOKENS = Channels((("w", 8),), axis=-1, rank=None)


def test_after_a_flatten_channels_are_blocks() -> None:
    assert flattened_channels(MAPS, 1) == Channels((("w", 8),), -1, 2, in_blocks=True)


@pytest.mark.parametrize("channels", [TOKENS, Channels((("w", 8),), -1, 4)])
def test_channels_on_other_axes_do_not_become_blocks(channels: Channels) -> None:
    assert flattened_channels(channels, 1) is None


def test_blocks_are_not_concatenated() -> None:
    blocks = flattened_channels(MAPS, 1)
    assert blocks is not None
    assert concatenated_channels([blocks, blocks], 1) is None


def test_an_axis_from_the_front_needs_a_known_rank() -> None:
    assert concatenated_channels([TOKENS, TOKENS], -1) is not None
    assert concatenated_channels([TOKENS, TOKENS], 2) is None
    assert reduced_channels(TOKENS, [-2], keep=True) == TOKENS
    assert reduced_channels(TOKENS, [1], keep=True) is None


def test_removed_axes_move_the_channels() -> None:
    assert reduced_channels(MAPS, [2, -1], keep=False) == Channels((("w", 8),), -1, 2)
    assert reduced_channels(MAPS, [0], keep=False) == Channels((("w", 8),), -3, 3)


def test_tensors_with_channels_of_one_layer_combine() -> None:
    pooled = Channels((("w", 8),), -3, 4)
    assert combined_channels([MAPS, pooled]) == MAPS


def test_where_channels_of_two_layers_combine_they_must_stay() -> None:
    passed = combined_channels([MAPS, Channels((("v", 3), ("u", 5)), -3, 4)])
    assert passed == Channels(((None, 8),), -3, 4)


def test_channels_along_different_axes_do_not_combine() -> None:
    assert combined_channels([MAPS, Channels((("w", 8),), -1, 2)]) is None


def test_blocks_combine_with_constants_only() -> None:
    blocks = Channels((("w", 1),), -1, 2, in_blocks=True)  # of 1 x 16 and of 1 x 1 features, say
    assert combined_channels([blocks, blocks]) is None
    assert combined_channels([blocks], [1]) == blocks


def test_a_constant_with_more_axes_raises_the_rank() -> None:
    rows = Channels((("w", 8),), -1, 2)
    assert combined_channels([rows], [3]) == Channels((("w", 8),), -1, 3)


def test_constants_of_a_norm_have_one_axis() -> None:
    assert constants_axis(node("BatchNormalization", ["x"], ["y"]), MAPS) == -1
    assert constants_axis(node("Add", ["x", "c"], ["y"]), MAPS) == -3
    assert constants_axis(node("Clip", ["x", "c"], ["y"]), MAPS) is None


def test_normalization_in_training_does_not_keep_channels() -> None:
    norm = node("BatchNormalization", ["x", "s", "o", "m", "v"], ["y"], training_mode=1)
    assert channels_after(norm, [MAPS, None, None, None, None], {}) is None
