"""A mean over positions gets a scale of its own, and the biases behind it follow."""

import numpy as np
from graphs import random, run
from integer_nets import pooled
from onnx import ModelProto, numpy_helper

from onnx_evoq.activations.placement import place
from onnx_evoq.model import load, prepared, quantized_activations
from onnx_evoq.quantize import ActivationGrid


def placed(of_mean: float) -> ModelProto:
    scales = {"x": 2.0**-5, "b": 2.0**-5, "c": of_mean, "d": of_mean, "y": 2.0**-4}
    grids = {n: ActivationGrid(scale, 8, n in ("x", "y")) for n, scale in scales.items()}
    return place(prepared(load(pooled())), grids, {}, [])


def value(model: ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)


def test_the_mean_and_what_is_made_of_it_share_a_scale_of_their_own() -> None:
    model = placed(2.0**-7)
    by_name = {tensor.name: tensor for tensor in quantized_activations(model)}
    assert by_name["c"].scale == by_name["d"].scale != by_name["b"].scale
    assert value(model, by_name["c"].scale) == 2.0**-7
    assert value(model, by_name["b"].scale) == 2.0**-5


def test_the_bias_behind_it_has_the_product_of_the_scales() -> None:
    model = placed(2.0**-7)
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    makers = {name: node for node in model.graph.node for name in node.output}
    x, weight, bias = (value(model, makers[name].input[1]) for name in gemm.input)
    np.testing.assert_allclose(bias, x * weight, rtol=1e-6)
    codes = value(model, makers[gemm.input[2]].input[0])
    expected = value(load(pooled()), "b2")
    np.testing.assert_allclose(codes * bias, expected, atol=0.51 * float(np.max(bias)))


def test_the_integer_kernels_agree_with_floats() -> None:
    model, x = placed(2.0**-7), random(8, 2, 4, 4)
    floats = run(load(pooled()), {"x": x})["y"]
    error = run(model, {"x": x})["y"] - floats
    assert np.square(error).mean() < 0.02 * np.square(floats).mean()
