"""The scores of a Softmax."""

from graphs import node

from onnx_evoq.model.inputs.softmax_scores import scores_of


def test_scores_reach_a_softmax_through_sums_and_moves_alone() -> None:
    nodes = [
        node("MatMul", ["q", "k"], ["raw"]),
        node("Mul", ["raw", "scale"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["biased"]),
        node("Softmax", ["biased"], ["weights"]),
        node("MatMul", ["weights", "v"], ["y"]),
    ]
    assert scores_of(nodes) == {"raw", "scale", "scaled", "bias", "biased"}
