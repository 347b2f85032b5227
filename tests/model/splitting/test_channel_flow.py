"""The channels after a node."""

from typing import Any

import numpy as np
import pytest
from graphs import node
from onnx import numpy_helper

from onnx_evoq.model.splitting.channel_flow import (
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


ROWS = Channels((("w", 8),), axis=-1, rank=2)
ON_ROWS_OF_MAPS = Channels((("w", 8),), axis=-1, rank=4)


def after(
    op_type: str, *inputs: Channels | str | None, outputs: tuple[str, ...] = ("y",),
    constants: dict[str, Any] | None = None, **attributes: Any,
) -> Channels | None:  # fmt: skip
    """The channels after a node; an input is the name of a tensor or the channels that it has."""
    names = [each if isinstance(each, str) else f"x{k}" for k, each in enumerate(inputs)]
    tensors = {k: numpy_helper.from_array(np.array(v), k) for k, v in (constants or {}).items()}
    channels = [None if isinstance(each, str) else each for each in inputs]
    return channels_after(node(op_type, names, outputs, **attributes), channels, tensors)


@pytest.mark.parametrize("op_type", ["Relu", "Clip", "Cast", "Identity", "Sigmoid"])
def test_an_elementwise_operator_keeps_any_channels(op_type: str) -> None:
    for channels in (MAPS, TOKENS, ROWS):
        assert after(op_type, channels) == channels


def test_limits_of_a_clip_do_not_matter() -> None:
    assert after("Clip", MAPS, "low", "", constants={"low": 0.0}) == MAPS


@pytest.mark.parametrize("op_type", ["Softmax", "Reshape", "Transpose", "Own"])
def test_other_operators_do_not_keep_channels(op_type: str) -> None:
    assert after(op_type, MAPS) is None


def test_an_operator_of_another_domain_does_not_keep_channels() -> None:
    assert after("Relu", MAPS, domain="com.example") is None


def test_a_node_must_have_its_first_output_alone() -> None:
    assert after("MaxPool", MAPS, outputs=("y", "i")) is None
    assert after("MaxPool", MAPS, outputs=("", "i")) is None
    assert after("Dropout", MAPS, outputs=("y", "")) == MAPS
    assert after("BatchNormalization", MAPS, outputs=("y", "", "m")) is None
    assert after("Relu", MAPS, outputs=("",)) is None


def test_channels_must_come_by_the_first_input_alone() -> None:
    assert after("Clip", "x", MAPS) is None
    assert after("Clip", MAPS, MAPS) is None


@pytest.mark.parametrize("op_type", ["MaxPool", "GlobalAveragePool", "BatchNormalization"])
def test_pools_and_norms_need_channels_on_the_second_axis(op_type: str) -> None:
    assert after(op_type, MAPS) == MAPS
    assert after(op_type, ON_ROWS_OF_MAPS) is None


def test_a_norm_per_position_does_not_keep_channels() -> None:
    assert after("BatchNormalization", MAPS, spatial=0) is None
    assert after("BatchNormalization", MAPS, spatial=1) == MAPS


def test_a_constant_of_a_sum_may_raise_the_rank() -> None:
    constants = {"c": np.zeros((2, 1, 8)), "unused": np.zeros((1, 1, 1, 1))}
    assert after("Add", ROWS, "c", constants=constants) == Channels((("w", 8),), -1, 3)
    assert after("Add", "z", ROWS, constants=constants) == ROWS


def test_a_concat_needs_channels_of_all_inputs() -> None:
    both = (("w", 8), ("w", 8))
    assert after("Concat", MAPS, MAPS, axis=1) == Channels(both, -3, 4)
    assert after("Concat", MAPS, MAPS) == Channels(both, -3, 4)
    assert after("Concat", MAPS, MAPS, axis=-3) == Channels(both, -3, 4)
    assert after("Concat", MAPS, MAPS, axis=2) is None
    assert after("Concat", MAPS, "x", axis=1) is None


def test_a_concat_along_the_first_axis_may_be_along_the_channels() -> None:
    first = Channels((("w", 8),), -2, 2)
    assert concatenated_channels([first, first], 0) is not None
    assert concatenated_channels([TOKENS, TOKENS], 0) is None


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceMax"])
def test_a_reduction_states_its_axes_as_an_attribute_or_an_input(op_type: str) -> None:
    assert after(op_type, MAPS, axes=[2, 3]) == MAPS
    assert after(op_type, MAPS, axes=[2, 3], keepdims=0) == ROWS
    assert after(op_type, MAPS, "axes", constants={"axes": [2, 3]}, keepdims=0) == ROWS
    assert after(op_type, MAPS, axes=[1]) is None
    assert after(op_type, MAPS, "axes", constants={"axes": [1]}) is None


def test_axes_that_are_not_known_may_be_those_of_the_channels() -> None:
    assert after("ReduceMean", MAPS) is None
    assert after("ReduceMean", MAPS, "axes") is None
    assert after("ReduceMean", MAPS, "axes", constants={"other": [2]}) is None
    assert after("ReduceMean", MAPS, exclude=[2]) is None


def test_a_squeeze_removes_its_axes() -> None:
    assert after("Squeeze", MAPS, axes=[2, 3]) == ROWS
    assert after("Squeeze", MAPS, "axes", constants={"axes": [-1]}) == Channels((("w", 8),), -2, 3)
    assert after("Squeeze", MAPS, axes=[2, 3], keepdims=1) == ROWS


def test_a_flatten_has_an_axis() -> None:
    blocks = Channels((("w", 8),), -1, 2, in_blocks=True)
    assert after("Flatten", MAPS) == blocks
    assert after("Flatten", MAPS, axis=1) == blocks
    assert after("Flatten", MAPS, axis=2) is None


def test_dropout_in_training_does_not_keep_channels() -> None:
    constants = {"ratio": 0.5, "yes": True, "no": False}
    assert after("Dropout", MAPS, "ratio", "no", constants=constants) == MAPS
    assert after("Dropout", MAPS, "ratio", "yes", constants=constants) is None
    assert after("Dropout", MAPS, "ratio", "computed", constants=constants) is None
    assert after("Dropout", MAPS, "ratio", "", constants=constants) == MAPS
    assert after("Dropout", MAPS, "ratio", constants=constants) == MAPS
    assert after("Clip", MAPS, "ratio", "yes", constants=constants) == MAPS


def test_axes_of_both_signs_need_a_known_rank() -> None:
    assert reduced_channels(TOKENS, [-2, 0], keep=True) is None
    assert reduced_channels(TOKENS, [0], keep=True) is None
    assert reduced_channels(TOKENS, [-2], keep=False) == TOKENS
    assert reduced_channels(TOKENS, [-1], keep=False) is None
    assert reduced_channels(MAPS, [], keep=True) is None


def test_blocks_do_not_combine_with_channels() -> None:
    assert combined_channels([Channels((("w", 8),), -1, 2, in_blocks=True), ROWS]) is None


def test_channels_of_different_numbers_do_not_combine() -> None:
    assert combined_channels([ROWS, Channels((("w", 1),), -1, 2)]) is None


def test_the_rank_is_known_if_all_ranks_are() -> None:
    assert combined_channels([TOKENS, ROWS], [3]) == TOKENS
    three = Channels((("w", 8),), -1, 3)
    assert combined_channels([ROWS, three]) == three


def test_channels_count_over_all_layers() -> None:
    channels = Channels((("v", 3), (None, 5)), -3, 4)
    assert channels.count == 8
    assert channels.on_second_axis
    assert not Channels((("v", 3),), -3, 4, in_blocks=True).on_second_axis
    assert not TOKENS.on_second_axis
