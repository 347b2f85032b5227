"""The statistics of BatchNormalization nodes."""

import numpy as np
from graphs import model_of, node, random
from onnx import ModelProto

from onnx_evoq.model import computing, load, norm_statistics
from onnx_evoq.model.graph.network import to_model


def model() -> ModelProto:
    """x (n, 3, 8, 8) -> Conv -> BatchNormalization -> Relu -> BatchNormalization -> MatMul -> y."""
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("BatchNormalization", ["c", "one", "zero", "m", "v"], ["a"], epsilon=0.5),
        node("Relu", ["a"], ["r"]),
        node("BatchNormalization", ["r", "one", "zero", "zero", "one"], ["b"]),
        node("MatMul", ["b", "u"], ["y"]),
    ]
    weights = {
        "w": random(2, 3, 1, 1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32),
        "m": np.float32([1, 2]), "v": np.float32([3, 4]), "u": random(8, 5),
    }  # fmt: skip
    return load(model_of(nodes, {"x": ["n", 3, 8, 8]}, {"y": None}, weights))


def test_means_and_variances_are_found_in_order() -> None:
    first, second = norm_statistics(model())
    assert (first.tensor, first.mean.tolist(), first.variance.tolist()) == ("c", [1, 2], [3.5, 4.5])
    assert second.tensor == "r"


def test_the_part_that_computes_tensors_has_only_what_they_need() -> None:
    part = to_model(computing(model(), ["c", "r"]))
    assert [each.op_type for each in part.graph.node] == ["Conv", "BatchNormalization", "Relu"]
    assert [value.name for value in part.graph.output] == ["c", "r"]
    assert "u" not in {tensor.name for tensor in part.graph.initializer}
