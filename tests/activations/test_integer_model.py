"""The model of integers computes what was simulated, with the codes of the weights."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import random, rounded, run
from integer_nets import conv_task, quantized_conv_net
from onnx import TensorProto, numpy_helper

from onnx_evoq.activations import integer_model
from onnx_evoq.model import Model


def made(bits: int, activation_bits: int, *, channel: bool = False) -> tuple[Model, Model]:
    activations = quantized_conv_net(activation_bits)
    quantized = rounded(conv_task().model, bits, channel=channel)
    network = activations.network
    return integer_model(activations, network, quantized), network.with_values(quantized)


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("activation_bits", [4, 8])
def test_kernels_for_integers_compute_what_was_simulated(
    activation_bits: int, channel: bool
) -> None:
    emitted, simulated = made(4, activation_bits, channel=channel)
    x = random(16, 3, 8, 8, seed=2)
    found, expected = (run(model, {"x": x})["logits"] for model in (emitted, simulated))
    # A kernel may round a value in the middle of two codes the other way.
    assert np.square(found - expected).mean() < 0.01 * np.square(expected).mean()


def test_no_shape_names_a_free_batch() -> None:
    emitted, _ = made(4, 4)
    assert len(emitted.graph.value_info) == 0


def test_codes_are_those_of_the_weights() -> None:
    emitted, _ = made(4, 8)
    held = {tensor.name: tensor for tensor in emitted.graph.initializer}
    for name, (codes, _) in rounded(conv_task().model, 4).items():
        tensor = held[f"{name}_quantized"]
        assert tensor.data_type == TensorProto.INT8
        assert (numpy_helper.to_array(tensor) == codes).all()


def test_biases_are_those_that_go_with_the_codes() -> None:
    activations = quantized_conv_net()
    quantized = rounded(conv_task().model, 8)
    moved = activations.network.with_values({"b3": np.full(5, 2.0, np.float32)})
    x = random(4, 3, 8, 8, seed=2)
    outputs = [
        run(integer_model(activations, network, quantized), {"x": x})["logits"]
        for network in (activations.network, moved)
    ]
    assert np.abs(outputs[0] - outputs[1]).max() > 0.5


def test_the_grids_are_those_of_the_activations() -> None:
    activations = quantized_conv_net(4)
    scale = next(tensor.scale for tensor in activations.tensors if tensor.name == "d")
    coarse = activations.with_grids({scale: replace(activations.grids[scale], scale=4.0)})
    emitted = integer_model(coarse, coarse.network, rounded(conv_task().model, 8))
    held = {t.name: numpy_helper.to_array(t) for t in emitted.graph.initializer}
    assert held["d_scale"] == 4
