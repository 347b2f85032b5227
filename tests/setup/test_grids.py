"""Patterns of weights, widths, and rounding to the nearest codes."""

import numpy as np
import pytest
from graphs import conv_net

from onnx_evoq.errors import OptionError
from onnx_evoq.model import Weight, find_weights, load
from onnx_evoq.setup.grids import Grid, axis_of_steps, bits_of, leave_out, nearest_of


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


def test_a_grid_of_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="granularity 'row' is unknown"):
        Grid(granularity="row")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="scale 'log' is unknown"):
        Grid(scale="log")  # type: ignore[arg-type]


def test_only_a_search_may_choose_the_granularity() -> None:
    assert Grid("channel").of_all() == "channel"
    with pytest.raises(OptionError, match="granularity 'any' is for a search of widths"):
        Grid("any").of_all()


def test_four_weights_are_listed_at_most(weights: list[Weight]) -> None:
    four = [*weights, weights[0]]
    with pytest.raises(OptionError, match=r"the weights are w1, w2, w3, w1 \("):
        leave_out(four, ["haed"])
    with pytest.raises(OptionError, match=r"the weights are w1, w2, w3, w1, \.\.\. \("):
        leave_out([*four, weights[0]], ["haed"])


def test_a_width_out_of_range_is_refused(weights: list[Weight]) -> None:
    with pytest.raises(OptionError, match="bits 9 is out of range: choose from 2 to 8"):
        bits_of(weights, 4, {"w1": 9})


def test_steps_per_channel_lie_along_the_axis_of_each_weight(weights: list[Weight]) -> None:
    axes = {weight.name: axis_of_steps(weight, "channel") for weight in weights}
    assert axes == {"w1": 0, "w2": 0, "w3": 1}
    assert axis_of_steps(weights[0], "tensor") is None


def test_each_weight_may_have_its_own_granularity(weights: list[Weight]) -> None:
    granularity = {"w1": "tensor", "w2": "channel", "w3": "channel"}
    rounded = nearest_of(weights, dict.fromkeys(granularity, 4), granularity, "pow2")
    assert [grid.axis for _, grid in rounded.values()] == [None, 0, 1]


@pytest.mark.parametrize("scale", ["pow2", "float"])
def test_codes_are_the_nearest_ones_on_a_grid_that_covers_the_weight(
    weights: list[Weight], scale: str
) -> None:
    rounded = nearest_of(weights, dict.fromkeys(names(weights), 4), "channel", scale)
    codes, grid = rounded["w3"]
    values = weights[2].values
    assert codes.shape == values.shape == (6, 5)
    assert grid.step.shape == (5,)
    assert np.abs(grid.step * codes - values).max() <= grid.step.max()
    np.testing.assert_array_equal(codes, np.rint(values / grid.step).clip(-8, 7))
    powers_of_two = (np.log2(grid.step) == np.rint(np.log2(grid.step))).all()
    assert powers_of_two == (scale == "pow2")


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


def test_patterns_to_keep_are_a_list() -> None:
    with pytest.raises(OptionError, match=r"keep 'fc\*' is one pattern: give a list"):
        Grid(keep="fc*")


def test_a_scale_of_activations_needs_their_bits() -> None:
    with pytest.raises(OptionError, match="activation_scale float is for quantized activations"):
        Grid(activation_scale="float")
    assert Grid(activations=8, activation_scale="float").activations == 8
