"""Which constants become initializers, and what they are called."""

import numpy as np
import pytest
from graphs import model_of, node, random, run
from onnx import ModelProto

from onnx_evoq.array_types import Array
from onnx_evoq.model import find_layers, find_weights, fold_constants, load

TABLE = random(100, 16)


def held(model: ModelProto) -> list[str]:
    return [tensor.name for tensor in model.graph.initializer]


def operators(model: ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node]


def folded(model: ModelProto) -> ModelProto:
    """The folded model, after a check that it computes the same."""
    model = load(model)
    found = fold_constants(model).model
    feed = {
        value.name: np.arange(4) if value.type.tensor_type.elem_type == 7 else random(4, 16)
        for value in model.graph.input
    }
    before, after = run(model, feed), run(found, feed)
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert np.allclose(values, after[name], rtol=1e-6, atol=1e-6)
    return found


def tied(*views: str, cast: bool = False) -> ModelProto:
    """ids (n) -> rows of a table -> MatMul with the transposed table -> y (n, 100)."""
    nodes = [
        node("Gather", ["t", "ids"], ["rows"]),
        *(node("Transpose", ["t"], [view], perm=[1, 0]) for view in views),
        *(node("MatMul", ["rows", view], [f"y_{view}"]) for view in views),
    ]
    if cast:
        nodes = [node("Cast", ["half"], ["t"], to=1), *nodes]
    outputs = {f"y_{view}": ["n", 100] for view in views}
    table = {"half": TABLE.astype(np.float16)} if cast else {"t": TABLE}
    return model_of(nodes, {"ids": ["n"]}, outputs, table, dtypes={"ids": "int64"})


def test_a_table_that_is_read_transposed_too_is_held_once() -> None:
    model = folded(tied("k"))
    assert held(model) == ["t"]
    assert operators(model) == ["Gather", "Transpose", "MatMul"]
    (weight,) = find_weights(model)[0]
    assert weight.nodes == ("Gather(rows)", "MatMul(y_k)")


def test_a_tied_table_of_half_precision_is_held_once_as_it_is_read() -> None:
    model = folded(tied("k", cast=True))
    assert held(model) == ["half"]
    assert sorted(operators(model)) == ["Cast", "Gather", "MatMul", "Transpose"]


def test_equal_views_become_one_initializer() -> None:
    nodes = [
        node("Transpose", ["w"], ["k1"]),
        node("Transpose", ["w"], ["k2"]),
        node("MatMul", ["x", "k1"], ["y1"]),
        node("MatMul", ["x", "k2"], ["y2"]),
    ]
    outputs = {"y1": ["n", 100], "y2": ["n", 100]}
    model = folded(model_of(nodes, {"x": ["n", 16]}, outputs, {"w": TABLE}))
    assert held(model) == ["w"]
    assert operators(model) == ["MatMul", "MatMul"]


def test_a_copy_is_no_tensor_of_its_own() -> None:
    nodes = [
        node("Identity", ["w"], ["k"]),
        node("MatMul", ["x", "k"], ["y1"]),
        node("MatMul", ["x", "w"], ["y2"]),
    ]
    outputs = {"y1": ["n", 100], "y2": ["n", 100]}
    model = folded(model_of(nodes, {"x": ["n", 16]}, outputs, {"w": TABLE.T.copy()}))
    assert held(model) == ["w"]


def test_parts_of_one_initializer_have_their_own_names() -> None:
    nodes = [
        node("Split", ["w"], ["q", "k"], axis=1),
        node("MatMul", ["x", "q"], ["y1"]),
        node("MatMul", ["x", "k"], ["y2"]),
    ]
    outputs = {"y1": ["n", 50], "y2": ["n", 50]}
    model = folded(model_of(nodes, {"x": ["n", 16]}, outputs, {"w": TABLE.T.copy()}))
    assert held(model) == ["q", "k"]
    assert len(find_layers(model, find_weights(model)[0])) == 2


def test_a_name_that_is_still_needed_is_not_given() -> None:
    nodes = [
        node("Mul", ["w", "two"], ["k"]),
        node("MatMul", ["x", "k"], ["y"]),
        node("MatMul", ["x", "w"], ["z"]),
    ]
    outputs = {"y": ["n", 100], "z": ["n", 100]}
    weights = {"w": TABLE.T.copy(), "two": np.float32(2)}
    assert held(folded(model_of(nodes, {"x": ["n", 16]}, outputs, weights))) == ["w", "k"]


def test_an_output_of_the_model_that_is_a_constant_stays_one() -> None:
    nodes = [node("Mul", ["w", "two"], ["k"]), node("MatMul", ["x", "k"], ["y"])]
    outputs = {"y": ["n", 100], "k": [16, 100]}
    weights = {"w": TABLE.T.copy(), "two": np.float32(2)}
    model = folded(model_of(nodes, {"x": ["n", 16]}, outputs, weights))
    assert held(model) == ["w"]
    assert operators(model) == ["Identity", "MatMul"]


def test_an_output_that_nothing_else_reads_is_computed_as_before() -> None:
    nodes = [node("Mul", ["w", "two"], ["k"]), node("Neg", ["x"], ["y"])]
    outputs = {"y": ["n", 16], "k": [16, 100]}
    weights = {"w": TABLE.T.copy(), "two": np.float32(2)}
    model = load(model_of(nodes, {"x": ["n", 16]}, outputs, weights))
    assert fold_constants(model).model is model


def added(*nodes: object, size: int, **weights: Array) -> ModelProto:
    """x (n, 16) -> Add with "k", (size, 16) -> y."""
    nodes = (*nodes, node("Unsqueeze", ["x", "one"], ["u"]), node("Add", ["u", "k"], ["y"]))
    held = {**weights, "one": np.array([1])}
    return model_of(nodes, {"x": ["n", 16]}, {"y": ["n", size, 16]}, held)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "written"), [(64, True), (65, False)])
def test_what_is_much_larger_than_its_source_is_computed_as_before(
    size: int, written: bool
) -> None:
    expand = node("Expand", ["w", "s"], ["k"])
    model = folded(added(expand, size=size, w=random(16), s=np.array([size, 16])))
    assert ("Expand" in operators(model)) is not written


def test_the_weight_of_a_layer_may_be_larger_than_its_source() -> None:
    nodes = [node("Expand", ["w", "s"], ["k"]), node("MatMul", ["x", "k"], ["y"])]
    weights = {"w": random(100), "s": np.array([16, 100])}
    model = folded(model_of(nodes, {"x": ["n", 16]}, {"y": ["n", 100]}, weights))
    assert [(w.name, w.shape) for w in find_weights(model)[0]] == [("k", (16, 100))]


def test_a_matrix_that_a_formula_gives_is_not_written_down() -> None:
    nodes = [
        node("Range", ["zero", "end", "one"], ["r"]),
        node("Reshape", ["r", "s"], ["m"]),
        node("Cos", ["m"], ["k"]),
        node("MatMul", ["x", "k"], ["y"]),
    ]
    weights = {
        "zero": np.float32(0), "end": np.float32(1600), "one": np.float32(1),
        "s": np.array([16, 100]),
    }  # fmt: skip
    model = folded(model_of(nodes, {"x": ["n", 16]}, {"y": ["n", 100]}, weights))
    assert operators(model) == ["Range", "Reshape", "Cos", "MatMul"]
    assert not find_weights(model)[0]


@pytest.mark.parametrize("each", [1000, 1001])
def test_many_pieces_of_what_is_no_weight_may_take_twice_its_bytes(each: int) -> None:
    starts = range(4)
    slices = [node("Slice", ["w", f"from{i}", f"to{i}", "axis"], [f"k{i}"]) for i in starts]
    nodes = [*slices, *(node("Add", ["u", f"k{i}"], [f"y{i}"]) for i in starts)]
    nodes = [node("ReduceSum", ["x", "axis"], ["u"], keepdims=1), *nodes]
    weights = {"w": random(1, 2000), "axis": np.array([1])}
    weights |= {f"from{i}": np.array([i]) for i in starts}
    weights |= {f"to{i}": np.array([each + i]) for i in starts}
    outputs = {f"y{i}": ["n", each] for i in starts}
    model = folded(model_of(nodes, {"x": ["n", 16]}, outputs, weights))
    assert operators(model).count("Slice") == (4 if each > 1000 else 0)


def test_what_quantized_nodes_alone_read_stays() -> None:
    nodes = [
        node("Transpose", ["w"], ["k"]),
        node("QuantizeLinear", ["k", "s"], ["q"]),
        node("DequantizeLinear", ["q", "s"], ["d"]),
        node("MatMul", ["x", "d"], ["y"]),
    ]
    model = load(
        model_of(nodes, {"x": ["n", 16]}, {"y": ["n", 100]}, {"w": TABLE, "s": np.float32(0.1)})
    )
    assert fold_constants(model).model is model


def test_a_name_on_request_is_computed_as_before() -> None:
    nodes = [
        node("Cast", ["half"], ["a"], to=1),
        node("MatMul", ["x", "a"], ["b"]),
        node("Transpose", ["w"], ["k"]),
        node("MatMul", ["b", "k"], ["y"]),
    ]
    weights = {"half": random(16, 16, dtype="float16"), "w": random(8, 16)}
    model = load(model_of(nodes, {"x": ["n", 16]}, {"y": ["n", 8]}, weights))
    every = fold_constants(model)
    assert (held(every.model), every.grown) == (["half", "w"], ("half",))
    some = fold_constants(model, leave=every.grown).model
    assert operators(some) == ["Cast", "MatMul", "MatMul"]
    assert held(some) == ["half", "w"]


def test_a_sequence_stays_and_the_tensors_from_it_become_initializers() -> None:
    nodes = [
        node("SequenceConstruct", ["v", "w"], ["both"]),
        node("SequenceAt", ["both", "one"], ["k"]),
        node("SequenceAt", ["both", "place"], ["variable"]),
        node("MatMul", ["x", "k"], ["y"]),
        node("MatMul", ["x", "variable"], ["z"]),
    ]
    weights = {"v": TABLE.T.copy(), "w": TABLE[::-1].T.copy(), "one": np.array(1)}
    inputs = {"x": ["n", 16], "place": []}
    outputs = {"y": ["n", 100], "z": ["n", 100]}
    model = load(model_of(nodes, inputs, outputs, weights, dtypes={"place": "int64"}))
    found = fold_constants(model).model
    assert operators(found) == ["SequenceConstruct", "SequenceAt", "MatMul", "MatMul"]
    feed = {"x": random(2, 16), "place": np.array(0)}
    before, after = run(model, feed), run(found, feed)
    assert all((before[name] == after[name]).all() for name in outputs)
