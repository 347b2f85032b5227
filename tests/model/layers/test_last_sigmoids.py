"""The tensors that become scores at the end of a model."""

from graphs import model_of, node, random

from onnx_evoq.model.layers.last_sigmoids import before_last_sigmoids

CONV = node("Conv", ["x", "w"], ["a"])


def found(*nodes: object) -> set[str]:
    """The tensors that become scores in y."""
    weights = {"w": random(6, 3, 1, 1), "shape": random(1), "axes": random(1)}
    return before_last_sigmoids(
        model_of([CONV, *nodes], {"x": ["n", 3, 8, 8]}, {"y": None}, weights).graph  # type: ignore[list-item]
    )


def test_what_a_sigmoid_at_the_end_reads_becomes_scores() -> None:
    assert found(node("Sigmoid", ["a"], ["y"])) == {"a"}
    assert found(node("Relu", ["a"], ["y"])) == set()


def test_nodes_that_move_values_may_lie_before_and_after() -> None:
    before = [node("Reshape", ["a", "shape"], ["b"]), node("Transpose", ["b"], ["c"])]
    after = [node("Sigmoid", ["c"], ["d"]), node("Concat", ["x", "d"], ["y"], axis=1)]
    assert found(*before, *after) == {"a", "b", "c"}


def test_both_branches_of_a_concat_become_scores() -> None:
    nodes = [node("Concat", ["a", "x"], ["b"], axis=1), node("Sigmoid", ["b"], ["y"])]
    assert found(*nodes) == {"a", "b", "x"}


def test_a_gate_gives_no_scores() -> None:
    assert found(node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["y"])) == set()


def test_a_sigmoid_in_the_middle_gives_no_scores() -> None:
    assert found(node("Sigmoid", ["a"], ["b"]), node("Conv", ["b", "v"], ["y"])) == set()
