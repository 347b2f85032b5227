"""Tensors that are pooled over all positions."""

from graphs import model_of, node

from onnx_evoq.model import pooled_tensors


def test_global_pools_and_means_are_found() -> None:
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("GlobalAveragePool", ["a"], ["p"]),
        node("ReduceMean", ["x"], ["m"], axes=[2, 3]),
        node("Add", ["p", "m"], ["y"]),
    ]
    assert pooled_tensors(model_of(nodes, {"x": [1, 3, 8, 8]}, {"y": None}, {})) == {"a", "x"}
