"""ONNX Runtime's tool places Q and DQ with the scales that it is given."""

import logging

import numpy as np
import pytest
from graphs import conv_net, mlp
from onnx import ModelProto, numpy_helper
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from onnx_evoq.errors import ModelError
from onnx_evoq.model import fold_batch_norm, load, prepared, tensor_names
from onnx_evoq.score import IntegerTensor, placed


def placed_net(weights: dict[str, IntegerTensor], float_nodes: list[str]) -> ModelProto:
    model = prepared(fold_batch_norm(load(conv_net()))[0])
    scale = IntegerTensor(np.array(0.25, np.float32), np.array(0, np.uint8))
    found: ModelProto = placed(model, tensor_names(model), {"c": scale}, weights, float_nodes)
    return found


def values(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_given_scales_are_used_and_codes_are_exact() -> None:
    model = fold_batch_norm(load(conv_net()))[0]
    weight = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "w2")
    given = IntegerTensor(np.array(0.125, np.float32), np.array(0, np.int8))
    found = values(placed_net({"w2": given}, []))
    assert found["c_scale"] == 0.25
    assert found["w2_scale"] == 0.125
    assert (found["w2_quantized"] == np.clip(np.rint(weight / 0.125), -128, 127)).all()


def test_a_weight_may_have_a_scale_for_each_channel() -> None:
    scales = np.array([0.5, 0.25, 0.125, 0.5, 1.0, 2.0], np.float32)
    given = IntegerTensor(scales, np.array(0, np.int8), axis=0)
    assert (values(placed_net({"w2": given}, []))["w2_scale"] == scales).all()


def test_the_relu_before_an_unsigned_activation_is_left_out() -> None:
    kinds = [node.op_type for node in placed_net({}, []).graph.node]
    assert "Relu" not in kinds
    assert kinds.count("QuantizeLinear") == 7


def test_nodes_that_stay_float_read_float_weights() -> None:
    model = placed_net({}, ["branch"])
    branch = next(node for node in model.graph.node if node.name == "branch")
    assert branch.input[1] == "w2"


def test_the_tool_says_nothing_and_leaves_the_log_level() -> None:
    logger = logging.getLogger()
    before = logger.level
    model = prepared(load(mlp()))
    placed(model, tensor_names(model), {}, {}, [])
    assert logger.level == before


def test_what_the_tool_cannot_quantize_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(tool: QDQQuantizer) -> None:
        raise ValueError("no scale")

    monkeypatch.setattr(QDQQuantizer, "quantize_model", fails)
    with pytest.raises(ModelError, match=r"tool \(no scale\): leave activations out"):
        placed_net({}, [])
