"""List the weights of a model."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random
from onnx import TensorProto

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


def test_weights_in_a_data_file_are_not_copied(tmp_path: Path) -> None:
    size, names = 2048, ["v", "w"]  # of 16 MB each, which are one block
    nodes = [node("MatMul", ["x", "v"], ["a"]), node("MatMul", ["a", "w"], ["y"])]
    model = model_of(nodes, {"x": ["n", size]}, {"y": None}, {})
    for index, name in enumerate(names):
        tensor = model.graph.initializer.add(name=name, data_type=1, dims=[size, size])
        tensor.data_location = TensorProto.EXTERNAL
        length = 4 * size * size
        for key, value in (("location", "m.data"), ("offset", index * length), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with (tmp_path / "m.data").open("wb") as file:
        file.truncate(len(names) * length)
    tracemalloc.start()
    try:
        inspection = onnx_evoq.inspect(tmp_path / "m.onnx")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [weight.name for weight in inspection.weights] == names
    assert peak < 2**20
