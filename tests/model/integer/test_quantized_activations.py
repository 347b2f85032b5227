"""Activations between Q and DQ are found, with what they share, and whether they are at an end."""

from math import inf

from graphs import mlp
from integer_nets import pooled, quantized_conv_net

from onnx_evoq.model import (
    at_the_ends,
    clip_limit_of,
    load,
    quantized_activations,
)


def test_activations_are_named_as_in_the_float_model() -> None:
    activations = quantized_conv_net()
    names = [tensor.name for tensor in quantized_activations(activations.simulated)]
    assert set(names) == {"x", "c", "d", "e", "f", "g"}


def test_a_flattened_tensor_shares_the_scale_of_its_input() -> None:
    by_name = {tensor.name: tensor for tensor in quantized_conv_net().tensors}
    assert by_name["g"].scale == by_name["f"].scale
    assert by_name["e"].scale != by_name["f"].scale


def test_codes_that_are_clipped_have_limits() -> None:
    assert {tensor.low is None for tensor in quantized_conv_net().tensors} == {True}
    by_name = {tensor.name: tensor for tensor in quantized_conv_net(4).tensors}
    assert by_name["x"].low is None  # an input has 8 bits
    assert by_name["d"].low is not None
    assert by_name["d"].high is not None


def test_inputs_and_outputs_are_at_the_ends() -> None:
    assert at_the_ends(quantized_conv_net().simulated) == ({"x"}, set())


def test_the_limit_of_a_clip_is_known() -> None:
    model = load(pooled())
    assert clip_limit_of(model, "b") == 6
    assert clip_limit_of(model, "a") == clip_limit_of(load(mlp()), "c") == inf
