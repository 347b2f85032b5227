"""Codes of fewer bits than their type are clipped as integers."""

import numpy as np
from graphs import model_of, node, run
from onnx import ModelProto

from onnx_evoq.model import limit_codes, load


def through_codes() -> ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": np.array(0.5, np.float32), "z": np.array(128, np.uint8)}
    return load(model_of(nodes, {"x": ["n"]}, {"y": ["n"]}, weights), quantized=True)


def test_codes_stay_within_their_limits() -> None:
    model, x = through_codes(), np.array([-9.0, -1.0, 0.3, 9.0], np.float32)
    assert run(model, {"x": x})["y"].tolist() == [-9.0, -1.0, 0.5, 9.0]
    limit_codes(model, {"q": (120, 135, 8)})
    assert run(model, {"x": x})["y"].tolist() == [-4.0, -1.0, 0.5, 3.5]


def test_without_limits_nothing_changes() -> None:
    model = through_codes()
    before = model.SerializeToString()
    limit_codes(model, {})
    assert model.SerializeToString() == before
