"""Operators on integers and on floats are told apart."""

from dataclasses import replace

import numpy as np
from graphs import conv_net, model_of, node, random, task_of, two_rates
from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.activations import integer_model, quantize_activations
from onnx_evoq.model import load, operators, products_in_bodies, types_of_activations
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.targets import find_target


def test_all_of_a_convolutional_net_works_on_integers() -> None:
    task, activations = conv_task(), quantized_conv_net()
    found = reconstruct_layers(task, np.random.default_rng(0))
    model = integer_model(activations, activations.network, found.quantized)
    integer, floats = operators(model)
    assert integer == {"Add": 1, "Conv": 2, "Flatten": 1, "Gemm": 1, "GlobalAveragePool": 1}
    assert floats == {}
    assert types_of_activations(model) == {"uint8"}


def test_what_clips_codes_is_no_float_operator() -> None:
    for bits in (4, 12):
        _, floats = operators(quantized_conv_net(bits).simulated)
        assert not {"Clip", "Cast"} & floats.keys()


def test_a_float_model_has_float_operators_only() -> None:
    model = load(conv_net())
    integer, floats = operators(model)
    assert integer == {}
    assert floats["Conv"] == 2
    assert not types_of_activations(model)


def test_what_computes_shapes_counts_nowhere() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "zero", "one"], ["first"]),
        node("Concat", ["first", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["y"]),
    ]
    weights = {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([-1])}
    model = load(model_of(nodes, {"x": ["n", 4, 2]}, {"y": ["n", 8]}, weights))
    assert operators(model) == ({}, {"Reshape": 1})


def test_a_relu_before_codes_is_computed_with_the_operator_before_it() -> None:
    task = replace(conv_task(), target=find_target("tensorrt"))
    activations = quantize_activations(task, 8)
    found = reconstruct_layers(task, np.random.default_rng(0))
    integer, floats = operators(integer_model(activations, activations.network, found.quantized))
    assert (integer["Relu"], integer["Add"]) == (1, 1)
    assert not {"Relu", "Add"} & floats.keys()


def test_more_than_8_bits_stay_what_they_are_at_the_ends_too() -> None:
    assert types_of_activations(quantized_conv_net(9).simulated) == {"uint16"}


def test_a_float_result_is_no_reason_for_an_integer_operator_behind_it() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Softmax", ["a"], ["b"], axis=-1),
        node("MatMul", ["b", "v"], ["y"]),
    ]
    weights = {"w": random(6, 5), "v": random(5, 4, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 6]}, {"y": ["n", 4]}, weights))
    task = task_of(model, random(32, 6), random(16, 6), bits=8)
    activations = quantize_activations(task, 8)
    integers = integer_model(
        activations, activations.network, task.nearest(task.weights, task.bits)
    )
    assert operators(integers) == ({"MatMul": 2}, {"Softmax": 1})


def test_products_of_the_main_graph_stand_in_no_body() -> None:
    nodes = [node("MatMul", [f"a{k}", "w"], [f"a{k + 1}"]) for k in range(20)]
    model = load(model_of(nodes, {"a0": ["n", 4]}, {"a20": None}, {"w": random(4, 4)}))
    assert products_in_bodies(model) == []
    model = load(two_rates())
    assert products_in_bodies(model) == ["MatMul", "MatMul"]
