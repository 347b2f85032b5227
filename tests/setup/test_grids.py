"""Patterns and widths."""

import numpy as np
import pytest
from graphs import conv_net

from onnx_evoq.errors import OptionError
from onnx_evoq.model import Weight, find_weights, load
from onnx_evoq.setup.grids import bits_of, grids_for, leave_out, nearest_codes, nearest_of


@pytest.fixture
def weights() -> list[Weight]:
    return find_weights(load(conv_net()))[0]  # w1 of stem, w2 of branch, w3 of head


def names(weights: list[Weight]) -> list[str]:
    return [weight.name for weight in weights]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ([], ["w1", "w2", "w3"]),
        (["w1"], ["w2", "w3"]),
        (["head"], ["w1", "w2"]),  # the name of a node
        (["w[12]"], ["w3"]),
        (["st*", "w3"], ["w2"]),
    ],
)
def test_patterns_match_weights_and_nodes(
    weights: list[Weight], keep: list[str], left: list[str]
) -> None:
    assert names(leave_out(weights, keep)) == left


def test_a_name_with_brackets_matches_itself() -> None:
    model = conv_net()
    model.graph.node[0].name = "layer[0]"
    assert names(leave_out(find_weights(load(model))[0], ["layer[0]"])) == ["w2", "w3"]


def test_a_pattern_that_matches_nothing_lists_the_weights(weights: list[Weight]) -> None:
    with pytest.raises(OptionError, match="keep 'haed' matches no weight: the weights are w1, w2"):
        leave_out(weights, ["haed"])
    with pytest.raises(OptionError, match="bits-for 'haed' matches no weight"):
        bits_of(weights, 4, {"haed": 8})


def test_keeping_everything_is_refused(weights: list[Weight]) -> None:
    with pytest.raises(OptionError, match=r"keep 'w\*' leaves no weight to quantize"):
        leave_out(weights, ["w*"])


def test_the_last_pattern_that_matches_counts(weights: list[Weight]) -> None:
    assert bits_of(weights, 4, {"w*": 6, "stem": 8}) == {"w1": 8, "w2": 6, "w3": 6}


def test_a_width_out_of_range_is_refused(weights: list[Weight]) -> None:
    with pytest.raises(OptionError, match="bits 9 is out of range: choose from 2 to 8"):
        bits_of(weights, 4, {"w1": 9})


def test_grids_are_per_channel_along_the_axis_of_each(weights: list[Weight]) -> None:
    widths = dict.fromkeys(names(weights), 4)
    grids = grids_for(weights, widths, "channel", "pow2")
    assert {name: grid.axis for name, grid in grids.items()} == {"w1": 0, "w2": 0, "w3": 1}
    assert grids_for(weights, widths, "tensor", "pow2")["w1"].axis is None
    codes, grid = nearest_codes(weights, grids)["w3"]
    assert codes.shape == (6, 5)
    assert grid.step.shape == (5,)


def test_channels_may_have_widths_of_their_own(weights: list[Weight]) -> None:
    bits = {"w1": 4, "w2": (2, 3, 4, 5, 6, 7), "w3": (2, 8, 2, 2, 3)}
    rounded = nearest_of(weights, bits, "channel", "pow2")
    assert {name: grid.bits for name, (_, grid) in rounded.items()} == bits
    assert np.abs(rounded["w3"].codes).max(axis=0).tolist()[1] > 8  # along its axis, 1
    assert np.delete(rounded["w3"].codes, 1, axis=1).min() >= -4


def test_one_step_per_tensor_goes_with_one_width(weights: list[Weight]) -> None:
    bits = {"w1": 4, "w2": (2, 3, 4, 5, 6, 7), "w3": 4}
    with pytest.raises(ValueError, match="6 widths for"):
        nearest_of(weights, bits, "tensor", "pow2")
