"""Packed sizes against sums worked by hand."""

import numpy as np
from graphs import conv_net, mlp, model_of, node, random, rounded
from onnx import helper, numpy_helper

from onnx_evoq.model import emit_qdq, find_weights, load, packed_bytes, serialize
from onnx_evoq.setup import nearest_of

BIASES = 4 * (6 + 3)  # of `mlp`


def test_codes_take_their_bits_and_steps_a_byte() -> None:
    # 24 codes of 3 bits: 9 bytes; 18: 54 bits, 7 bytes; and a step each
    model = load(mlp())
    assert packed_bytes(model, rounded(model, 3)) == 9 + 1 + 7 + 1 + BIASES


def test_steps_that_are_no_powers_of_two_take_four_bytes() -> None:
    model = load(mlp())
    bits = {"first": 3, "second": 3}
    quantized = nearest_of(find_weights(model)[0], bits, "channel", "float")
    assert packed_bytes(model, quantized) == 9 + 4 * 6 + 7 + 4 * 3 + BIASES


def test_each_channel_has_its_width_and_its_step() -> None:
    # 4 codes in each of 6 channels: 4 * 24 bits; 6 codes in each of 3: 6 * 7 bits, 6 bytes
    model = load(mlp())
    bits = {"first": (2, 3, 4, 5, 6, 4), "second": (2, 3, 2)}
    quantized = nearest_of(find_weights(model)[0], bits, "channel", "pow2")
    assert packed_bytes(model, quantized) == 12 + 6 + 6 + 3 + BIASES


def test_weights_that_stay_float_keep_their_bytes() -> None:
    model = load(mlp())
    first = {"first": rounded(model, 8)["first"]}
    assert packed_bytes(model, first) == 24 + 1 + 4 * 18 + BIASES


def test_half_floats_take_two_bytes() -> None:
    model = load(conv_net(dtype="float16"))
    others = 2 * (4 * 6 + 6 + 5)  # the normalization's and the biases
    weights = 6 * 3 * 9 + 6 * 6 * 9 + 6 * 5
    assert packed_bytes(model, rounded(model, 8)) == weights + 3 + others


def test_constants_of_nodes_and_bodies_count() -> None:
    def branch(name: str) -> object:
        value = helper.make_tensor_value_info(name, 1, [3])
        bias = numpy_helper.from_array(random(3), f"{name}_bias")
        return helper.make_graph(
            [node("Add", ["a", f"{name}_bias"], [name])], name, [], [value], [bias]
        )

    axes = helper.make_tensor("axes", 7, [1], [0])  # kept as int64_data, not as raw bytes
    nodes = [
        node("MatMul", ["x", "w"], ["b"]),
        node("Constant", [], ["axes"], value=axes),
        node("Squeeze", ["b", "axes"], ["a"]),
        node("If", ["flag"], ["y"], then_branch=branch("t"), else_branch=branch("e")),
    ]
    inputs = {"x": [1, 4], "flag": []}
    model = model_of(nodes, inputs, {"y": [3]}, {"w": random(4, 3)}, dtypes={"flag": "bool"})
    loaded = load(model)
    assert packed_bytes(loaded, rounded(loaded, 8)) == 12 + 1 + 8 + 2 * 4 * 3


def test_text_counts_by_its_bytes() -> None:
    model = load(mlp())
    names = np.array(["cat", "mouse"], object)
    model.graph.initializer.append(numpy_helper.from_array(names, "names"))
    assert packed_bytes(model, rounded(model, 8)) == 24 + 1 + 18 + 1 + BIASES + 8


def test_at_8_bits_the_packed_size_is_that_of_the_tensors_in_the_file() -> None:
    model = load(conv_net())
    quantized = rounded(model, 8)
    emitted = emit_qdq(model, quantized, narrowest=8)
    held = sum(len(tensor.raw_data) for tensor in emitted.graph.initializer)
    assert (
        packed_bytes(model, quantized) == held - 3 - 3 * 3
    )  # zero points, which are known; steps take a byte instead of 4
    assert packed_bytes(model, quantized) < len(serialize(emitted))
