"""List the weights of a model."""

from pathlib import Path

import numpy as np
import pytest
from graphs import conv_net, mlp, random

import onnx_evoq
from onnx_evoq import ModelError


def test_the_weights_of_the_folded_model_are_listed() -> None:
    inspection = onnx_evoq.inspect(conv_net())
    assert inspection.source == "the model in memory"
    assert inspection.folded == ("norm",)
    assert [weight.name for weight in inspection.weights] == ["w1", "w2", "w3"]
    weight = inspection.weights[2]
    assert (weight.shape, weight.axis, weight.op_type) == ((6, 5), 1, "Gemm")
    assert weight.bytes == {bits: -(-30 * bits // 8) for bits in range(2, 9)}


def test_other_initializers_are_listed_with_the_reason() -> None:
    skipped = {tensor.name: tensor.reason for tensor in onnx_evoq.inspect(mlp()).skipped}
    assert set(skipped) == {"first_bias", "second_bias"}
    assert skipped["second_bias"] == "bias or state of Gemm: biases stay float"


def test_the_bytes_are_those_of_the_file(mlp_file: Path) -> None:
    assert onnx_evoq.inspect(mlp_file).bytes == mlp_file.stat().st_size


def test_the_reason_why_channels_cannot_be_split_is_given() -> None:
    reasons = {weight.name: weight.no_expansion for weight in onnx_evoq.inspect(mlp()).weights}
    assert reasons == {
        "first": None,
        "second": "its output is an output of the model (logits)",
    }
    assert "sum" in str(onnx_evoq.inspect(conv_net()).weights[0].no_expansion)  # once folded


def test_a_weight_that_is_not_finite_is_refused() -> None:
    model = mlp()
    values = random(4, 6)
    values[0, 0] = np.nan
    model.graph.initializer[0].raw_data = values.tobytes()
    with pytest.raises(ModelError, match="first"):
        onnx_evoq.inspect(model)
