"""Runs models in QONNX without its package: a Quant is computed by its formula."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun


class Quant(OpRun):
    """The operator of QONNX in NumPy."""

    op_domain = "qonnx.custom_op.general"

    def _run(
        self, x: Any, scale: Any, zeropt: Any, bitwidth: Any, signed: Any = None,
        narrow: Any = None, rounding_mode: Any = None,
    ) -> tuple[NDArray[np.float32]]:  # fmt: skip
        assert rounding_mode == "ROUND"
        low = -(2 ** (bitwidth - 1)) + narrow if signed else 0
        high = 2 ** (bitwidth - 1) - 1 if signed else 2**bitwidth - 1
        codes = np.rint(np.clip(x / scale + zeropt, low, high))
        return (np.asarray((codes - zeropt) * scale, np.float32),)


def run_qonnx(model: ModelProto, feed: Mapping[str, NDArray[Any]]) -> list[Any]:
    """The outputs of a model in QONNX."""
    outputs: list[Any] = ReferenceEvaluator(model, new_ops=[Quant]).run(None, dict(feed))
    return outputs


def quants(model: ModelProto) -> dict[str, NodeProto]:
    """The Quant nodes by the tensor that they give."""
    return {node.output[0]: node for node in model.graph.node if node.op_type == "Quant"}


def parameters(model: ModelProto, node: NodeProto) -> dict[str, Any]:
    """The scale, the zero point, the width and the attributes of a Quant node."""
    constants = {
        n.output[0]: numpy_helper.to_array(n.attribute[0].t)
        for n in model.graph.node
        if n.op_type == "Constant"
    }
    values = {part: constants[n] for part, n in zip(_PARTS, node.input[1:], strict=True)}
    return {**values, **{a.name: helper.get_attribute_value(a) for a in node.attribute}}


_PARTS = ("scale", "zeropt", "bitwidth")
