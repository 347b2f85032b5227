"""A Relu reads the operator before it, without codes between them."""

import numpy as np
from graphs import model_of, node, random, run
from onnx import ModelProto

from onnx_evoq.model import join_limits, load


def through_relu(*, outputs: dict[str, list[str | int]]) -> ModelProto:
    """x -> Neg -> Q, DQ -> Relu -> y."""
    nodes = [
        node("Neg", ["x"], ["a"]),
        node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["b"]),
        node("Relu", ["b"], ["y"]),
    ]
    weights = {"s": np.array(0.5, np.float32), "z": np.array(0, np.int8)}
    return load(model_of(nodes, {"x": ["n"]}, outputs, weights), quantized=True)


def test_nothing_is_rounded_before_the_relu() -> None:
    model, x = through_relu(outputs={"y": ["n"]}), random(9)
    join_limits(model)
    assert [n.op_type for n in model.graph.node] == ["Neg", "Relu"]
    assert not model.graph.initializer
    assert (run(model, {"x": x})["y"] == np.maximum(-x, 0)).all()


def test_codes_that_others_need_stay() -> None:
    model = through_relu(outputs={"y": ["n"], "b": ["n"]})
    before = model.SerializeToString()
    join_limits(model)
    assert model.SerializeToString() == before


def test_an_input_of_the_model_stays_quantized() -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["b"]),
        node("Relu", ["b"], ["y"]),
    ]
    weights = {"s": np.array(0.5, np.float32), "z": np.array(0, np.int8)}
    model = load(model_of(nodes, {"x": ["n"]}, {"y": ["n"]}, weights), quantized=True)
    join_limits(model)
    assert len(model.graph.node) == 3
