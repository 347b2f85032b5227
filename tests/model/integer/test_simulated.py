"""The simulated model has integer activations and float weights."""

import numpy as np
from graphs import random, run
from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.model import find_layers, find_weights, own_biases


def test_weights_and_biases_are_floats_again() -> None:
    task, activations = conv_task(), quantized_conv_net()
    tensors = {tensor.name for tensor in activations.simulated.graph.initializer}
    assert {weight.name for weight in task.weights} <= tensors
    float_model = own_biases(task.model, task.bits)
    biases = {layer.bias for layer in find_layers(float_model, task.weights).values()}
    assert biases <= tensors
    assert not any(name.endswith("_quantized") for name in tensors)
    values = {weight.name: weight.values for weight in find_weights(activations.simulated)[0]}
    for weight in task.weights:
        assert (values[weight.name] == weight.values).all()


def test_it_computes_nearly_what_the_float_model_does() -> None:
    x = random(8, 3, 8, 8, seed=1)
    floats = run(conv_task().model, {"x": x})["logits"]
    simulated = run(quantized_conv_net().simulated, {"x": x})["logits"]
    coarse = run(quantized_conv_net(3).simulated, {"x": x})["logits"]
    errors = [float(np.square(each - floats).mean()) for each in (simulated, coarse)]
    assert 0 < 50 * errors[0] < errors[1] < np.square(floats).mean()
