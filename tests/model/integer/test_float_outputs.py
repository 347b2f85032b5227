"""What the last Gemm gives stays float; other outputs do not."""

import numpy as np
from graphs import model_of, node, random, run, task_of
from integer_nets import pooled, quantized_conv_net

from onnx_evoq.activations import integer_model, quantize_activations
from onnx_evoq.model import load
from onnx_evoq.setup import nearest_of


def test_logits_are_floats_and_the_gemm_reads_integers() -> None:
    activations = quantized_conv_net()
    assert "logits" not in {tensor.name for tensor in activations.tensors}
    gemm = next(n for n in activations.simulated.graph.node if n.op_type == "Gemm")
    assert list(gemm.output) == ["logits"]
    assert gemm.input[0].endswith("_DequantizeLinear_Output")


def test_the_output_of_a_convolution_is_quantized() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 2, 4, 4]}, {"y": None}, {"w": random(3, 2, 1, 1)}))
    x = random(8, 2, 4, 4)
    activations = quantize_activations(task_of(model, x, x), 8)
    assert {tensor.name for tensor in activations.tensors} == {"x", "y"}


def test_integer_kernels_give_the_floats() -> None:
    x = random(16, 2, 4, 4)
    task = task_of(load(pooled()), x, x, bits=8)
    activations = quantize_activations(task, 8)
    rounded = nearest_of(task.weights, task.bits, "tensor", "pow2")
    network = activations.network
    found = run(integer_model(activations, network, rounded), {"x": x})["y"]
    expected = run(network.with_values(rounded), {"x": x})["y"]
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
