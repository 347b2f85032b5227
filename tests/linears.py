"""Compares layers as matrices with what ONNX Runtime computes."""

import numpy as np
from graphs import run
from numpy.typing import NDArray
from onnx import TensorProto, helper

from onnx_evoq.quantize import Linear

Floats = NDArray[np.float32]


def output_of(op: str, left: Floats, right: Floats, **attributes: object) -> Floats:
    """The output of an operator for its two inputs."""
    names = ["left", "right"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
        for name, value in zip(names, (left, right), strict=True)
    ]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(op, names, ["y"], **attributes)
    graph = helper.make_graph([node], "one", inputs, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return run(model, {"left": left, "right": right})["y"]


def same(layer: Linear, weight: Floats, x: Floats, y: Floats) -> bool:
    """Whether the matrix times the columns is the output, at every position."""
    at = np.arange(layer.positions(y.shape))
    product = layer.columns(x, at, y.shape) @ layer.matrix(weight).transpose(0, 2, 1)
    outputs = layer.outputs(y, at)
    assert outputs.size == y.size
    return product.shape == outputs.shape and np.allclose(product, outputs, atol=1e-5)
