import pytest
from selecting_nets import two_stages

from onnx_evoq.api.job import chosen_width, widths_of
from onnx_evoq.api.job.widths import one_granularity
from onnx_evoq.errors import OptionError
from onnx_evoq.mixed_precision import Policy
from onnx_evoq.setup import open_float_model


def test_one_width_or_a_policy_is_given() -> None:
    assert chosen_width(4, None, None) == 4
    policy = Policy({"w": 3})
    assert chosen_width(None, policy, None) is policy
    with pytest.raises(OptionError, match="neither bits nor a policy"):
        chosen_width(None, None, None)
    with pytest.raises(OptionError, match="leave bits and bits_for out"):
        chosen_width(None, policy, {"w": 4})


def test_weights_behind_the_points_have_widths_too() -> None:
    model = open_float_model(two_stages(), [])
    assert [weight.name for weight in model.weights] == ["first"]
    assert widths_of(model, 4, {"head": 6}, "tensor") == ({"first": 4, "head": 6}, "tensor")
    policy = Policy({"first": 3}, granularity={"first": "channel"})
    assert widths_of(model, policy, {}, "tensor") == (
        {"first": 3, "head": 8},
        {"first": "channel", "head": "tensor"},
    )


def test_a_granularity_that_differs_is_mixed() -> None:
    assert one_granularity("channel") == "channel"
    assert one_granularity({"a": "tensor", "b": "tensor"}) == "tensor"
    assert one_granularity({"a": "tensor", "b": "channel"}) == "mixed"
