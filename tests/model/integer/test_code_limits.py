"""Codes of fewer bits than their type are clipped as integers."""

import numpy as np
import pytest
from graphs import model_of, node, run
from onnx import ModelProto

from onnx_evoq.model import limit_codes, load


def through_codes(zero_point: int = 128, dtype: str = "uint8") -> ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": np.array(0.5, np.float32), "z": np.array(zero_point, dtype)}
    return load(
        model_of(nodes, {"x": ["n"]}, {"y": ["n"]}, weights, opset=21, ir_version=10),
        quantized=True,
    )


def test_codes_stay_within_their_limits() -> None:
    model, x = through_codes(), np.array([-9.0, -1.0, 0.3, 9.0], np.float32)
    assert run(model, {"x": x})["y"].tolist() == [-9.0, -1.0, 0.5, 9.0]
    limit_codes(model, {"q": (120, 135, "uint8")})
    assert run(model, {"x": x})["y"].tolist() == [-4.0, -1.0, 0.5, 3.5]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_signed_codes_likewise(dtype: str) -> None:
    model, x = through_codes(0, dtype), np.array([-9.0, -1.0, 0.3, 9.0], np.float32)
    limit_codes(model, {"q": (-8, 7, dtype)})
    assert run(model, {"x": x})["y"].tolist() == [-4.0, -1.0, 0.5, 3.5]


def test_without_limits_nothing_changes() -> None:
    model = through_codes()
    before = model.SerializeToString()
    limit_codes(model, {})
    assert model.SerializeToString() == before
