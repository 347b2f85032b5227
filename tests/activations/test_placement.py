"""Grids become initializers, and layers read the dequantized tensors."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import mlp, random, run, task_of
from integer_nets import conv_task, pooled, quantized_conv_net

from onnx_evoq.activations import quantize_activations
from onnx_evoq.activations.placement import bias_grid, integer_tensor
from onnx_evoq.model import load
from onnx_evoq.quantize import ActivationGrid, dequantize, nearest
from onnx_evoq.targets import find_target


def test_layers_read_what_the_simulated_model_gives_them() -> None:
    activations, task = quantized_conv_net(), conv_task()
    layers = activations.layers(task.weights)
    assert layers["w1"].input == "x_DequantizeLinear_Output"
    assert (layers["w2"].input, layers["w2"].output) == ("c_DequantizeLinear_Output", "d")
    assert layers["w2"].other == "c_DequantizeLinear_Output"
    assert layers["w2"].sum == "e"


def test_other_grids_act_as_new_values() -> None:
    activations, x = quantized_conv_net(4), random(4, 3, 8, 8, seed=1)
    before = run(activations.network, {"x": x})["logits"]
    coarser = {
        name: replace(grid, scale=2 * grid.scale) for name, grid in activations.grids.items()
    }
    changed = activations.with_grids(coarser)
    assert not np.allclose(run(changed.network, {"x": x})["logits"], before)
    back = changed.with_grids(activations.grids)
    assert (run(back.network, {"x": x})["logits"] == before).all()


def test_a_scale_is_set_by_the_first_tensor_that_has_it() -> None:
    x = random(8, 2, 4, 4)
    activations = quantize_activations(task_of(load(pooled()), x, x), 4)
    scales = [tensor.scale for tensor in activations.tensors]
    shared = {tensor.name: tensor.scale for tensor in activations.tensors}
    assert shared["c"] == shared["d"]
    first = activations.first_of_each_scale
    assert "d" not in first
    assert sorted(first.values()) == sorted(set(scales))
    assert activations.with_scales({"d": 5.0}).grids == activations.grids
    changed = activations.with_scales({"c": 5.0})
    assert changed.grids[first["c"]].scale == 5
    assert changed.grids[first["b"]] == activations.grids[first["b"]]


def test_limits_of_codes_follow_the_scale() -> None:
    activations = quantized_conv_net(4)
    tensor = next(each for each in activations.tensors if each.name == "d")
    grid = activations.grids[tensor.scale]
    assert grid.signed
    values = activations.values({tensor.scale: grid})
    assert values[tensor.scale] == grid.scale
    assert tensor.low is not None
    assert tensor.high is not None
    assert (values[tensor.low], values[tensor.high]) == (120, 135)


def test_zero_points_are_of_the_type_of_the_codes() -> None:
    of_8, of_12 = (integer_tensor(ActivationGrid(0.5, bits, signed=True)) for bits in (8, 12))
    assert (of_8.zero_point.dtype, int(of_8.zero_point)) == (np.uint8, 128)
    assert (of_12.zero_point.dtype, int(of_12.zero_point)) == (np.uint16, 32768)


def test_biases_are_in_units_of_the_kernel() -> None:
    activations, task = quantized_conv_net(), conv_task()
    layer = activations.layers(task.weights)["w2"]
    scale = next(t.scale for t in activations.tensors if t.name == "c")
    unit = activations.grids[scale].scale * 0.25
    bias = np.array([0.4, -2.6, 7.0, 0.0, 1.5, 2.5], np.float32) * np.float32(unit)
    found = activations.rounded_bias(layer, bias, 0.25) / unit
    np.testing.assert_allclose(found, [0, -3, 7, 0, 2, 2], atol=1e-6)
    per_channel = activations.rounded_bias(layer, bias, np.full(6, 0.25))
    np.testing.assert_allclose(per_channel / unit, found, atol=1e-6)


def test_a_bias_that_a_float_operator_adds_stays() -> None:
    x = random(32, 4)
    task = task_of(load(mlp()), x, x)
    activations = quantize_activations(task, 4)
    layer = activations.layers(task.weights)["first"]
    bias = random(6, seed=3)
    assert layer.bias == "first_bias"
    assert (activations.rounded_bias(layer, bias, 0.5) == bias).all()


def test_narrow_biases_have_8_bits_and_float_ones_the_units_of_the_kernel() -> None:
    task, bias = conv_task(), np.array([0.4, -2.6, 7.0, 0.0, 1.5, 0.03], np.float32)
    narrow, floats = (
        quantize_activations(replace(task, target=find_target(name)), 8)
        for name in ("vitis", "tensorrt")
    )
    layer = narrow.layers(task.weights)["w2"]
    expected = [0.375, -2.625, 7.0, 0.0, 1.5, 0.0]  # step 1/16: 7.0 has int_bits 3
    np.testing.assert_allclose(narrow.rounded_bias(layer, bias, 0.25), expected)
    layer = floats.layers(task.weights)["w2"]
    scale = next(t.scale for t in floats.tensors if t.dequantized == layer.input)
    unit = 0.25 * floats.grids[scale].scale
    np.testing.assert_allclose(
        floats.rounded_bias(layer, bias, 0.25), unit * np.rint(bias / unit), rtol=1e-6
    )


@pytest.mark.parametrize("largest", [0.501, 0.5, 0.499, 0.4999, 0.0, 3.99])
def test_the_grid_of_a_rounded_bias_holds_it(largest: float) -> None:
    bias = np.array([largest, 0.1, -0.2, 0.3], np.float32) * np.float32(largest > 0)
    grid = bias_grid(bias)
    rounded = dequantize(nearest(bias, grid), grid)
    again = bias_grid(rounded)
    assert (dequantize(nearest(rounded, again), again) == rounded).all()
    assert np.abs(rounded - bias).max() <= 0.5 * grid.step
