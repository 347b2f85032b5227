"""Constants become initializers, and the model computes the same."""

from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np
import onnx
import pytest
from graphs import model_of, node, random, run
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnx_evoq.array_types import Array
from onnx_evoq.model import find_layers, find_weights, fold_constants, load

Chain = tuple[list[NodeProto], Mapping[str, Array]]  # which computes "k" (4, 3)
W = random(4, 3)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def identity() -> Chain:
    return [node("Identity", ["w"], ["k"])], {"w": W}


def cast() -> Chain:
    return [node("Cast", ["w"], ["k"], to=1)], {"w": W.astype(np.float16)}


def cast_from_float64() -> Chain:
    return [node("Cast", ["w"], ["k"], to=1)], {"w": W.astype(np.float64)}


def cast_from_bfloat16() -> Chain:
    return [node("Cast", ["w"], ["k"], to=1)], {"w": W.astype(ml_dtypes.bfloat16)}


def transpose() -> Chain:
    return [node("Transpose", ["w"], ["k"], perm=[1, 0])], {"w": W.T.copy()}


def reshape() -> Chain:
    return [node("Reshape", ["w", "s"], ["k"])], {"w": W.reshape(2, 6), "s": ints(4, -1)}


def squeeze() -> Chain:
    return [node("Squeeze", ["w", "a"], ["k"])], {"w": W[None], "a": ints(0)}


def unsqueeze_and_squeeze() -> Chain:
    nodes = [node("Unsqueeze", ["w", "a"], ["u"]), node("Squeeze", ["u", "a"], ["k"])]
    return nodes, {"w": W, "a": ints(0)}


def expand() -> Chain:
    return [node("Expand", ["w", "s"], ["k"])], {"w": W[:1], "s": ints(4, 3)}


def tile() -> Chain:
    return [node("Tile", ["w", "s"], ["k"])], {"w": W[:2], "s": ints(2, 1)}


def slice_and_concat() -> Chain:
    nodes = [
        node("Slice", ["w", "zero", "one"], ["first"]),
        node("Slice", ["w", "one", "four"], ["rest"]),
        node("Concat", ["rest", "first"], ["k"], axis=0),
    ]
    return nodes, {"w": W, "zero": ints(0), "one": ints(1), "four": ints(4)}


def split() -> Chain:
    nodes = [
        node("Split", ["w"], ["first", "second"], axis=0),
        node("Concat", ["second", "first"], ["k"], axis=0),
    ]
    return nodes, {"w": W}


def weight_norm() -> Chain:
    nodes = [
        node("ReduceL2", ["v"], ["norm"], axes=[0], keepdims=1),
        node("Div", ["v", "norm"], ["direction"]),
        node("Mul", ["direction", "g"], ["k"]),
    ]
    return nodes, {"v": W, "g": random(1, 3, seed=1)}


def weight_norm_of_powers() -> Chain:
    nodes = [
        node("Pow", ["v", "two"], ["square"]),
        node("ReduceSum", ["square", "axis"], ["sum"], keepdims=1),
        node("Sqrt", ["sum"], ["norm"]),
        node("Div", ["g", "norm"], ["gain"]),
        node("Mul", ["v", "gain"], ["k"]),
    ]
    weights = {"v": W, "g": random(1, 3, seed=1), "two": np.float32(2), "axis": ints(0)}
    return nodes, weights


def low_rank() -> Chain:
    nodes = [
        node("MatMul", ["down", "up"], ["delta"]),
        node("Mul", ["delta", "alpha"], ["scaled"]),
        node("Add", ["w", "scaled"], ["k"]),
    ]
    weights = {"w": W, "down": random(4, 1), "up": random(1, 3), "alpha": np.float32(0.5)}
    return nodes, weights


def gather() -> Chain:
    return [node("Gather", ["w", "i"], ["k"], axis=0)], {"w": random(6, 3), "i": ints(5, 0, 3, 3)}


def pad() -> Chain:
    return [node("Pad", ["w", "p"], ["k"])], {"w": W[1:], "p": ints(1, 0, 0, 0)}


def where() -> Chain:
    nodes = [node("Greater", ["w", "z"], ["c"]), node("Where", ["c", "w", "z"], ["k"])]
    return nodes, {"w": W, "z": np.float32(0)}


def shape_of_another() -> Chain:
    nodes = [node("Shape", ["t"], ["s"]), node("Reshape", ["w", "s"], ["k"])]
    return nodes, {"w": W.reshape(-1), "t": random(4, 3)}


def filled() -> Chain:
    nodes = [
        node("ConstantOfShape", ["s"], ["ones"], value=numpy_helper.from_array(np.float32([1]))),
        node("Mul", ["ones", "w"], ["k"]),
    ]
    return nodes, {"w": W[:1], "s": ints(4, 3)}


def dropout() -> Chain:
    return [node("Dropout", ["w"], ["k"])], {"w": W}


def of_floats_in_a_node() -> Chain:
    nodes = [
        node("Constant", [], ["w"], value_floats=[float(value) for value in W.reshape(-1)]),
        node("Reshape", ["w", "s"], ["k"]),
    ]
    return nodes, {"s": ints(4, 3)}


def of_a_sparse_node() -> Chain:
    values = numpy_helper.from_array(random(3), "values")
    indices = numpy_helper.from_array(ints(0, 5, 11), "indices")
    sparse = helper.make_sparse_tensor(values, indices, [4, 3])
    return [node("Constant", [], ["w"], sparse_value=sparse), node("Abs", ["w"], ["k"])], {}


def sequences() -> Chain:
    nodes = [
        node("SplitToSequence", ["w", "two"], ["parts"], axis=0),
        node("SequenceAt", ["parts", "one"], ["last"]),
        node("SequenceInsert", ["parts", "last", "zero"], ["three"]),
        node("SequenceErase", ["three"], ["both"]),
        node("ConcatFromSequence", ["both"], ["k"], axis=0),
    ]
    return nodes, {"w": W, "two": np.array(2), "one": np.array(1), "zero": np.array(0)}


def of_bits() -> Chain:
    nodes = [
        node("Cast", ["w"], ["f"], to=1),
        node("Sub", ["f", "half"], ["g"]),
        node("Mul", ["g", "step"], ["k"]),
    ]
    codes = np.arange(12, dtype=np.uint8).reshape(4, 3)
    return nodes, {"w": codes, "half": np.float32(6), "step": random(1, 3)}


CHAINS: tuple[Callable[[], Chain], ...] = (
    identity, cast, cast_from_float64, cast_from_bfloat16, transpose, reshape, squeeze,
    unsqueeze_and_squeeze, expand, tile, slice_and_concat, split, weight_norm,
    weight_norm_of_powers, low_rank, gather, pad, where, shape_of_another, filled, dropout,
    of_floats_in_a_node, of_a_sparse_node, sequences, of_bits,
)  # fmt: skip


def behind(chain: Chain, **more: Array) -> ModelProto:
    """x (n, 4) -> MatMul with the "k" of a chain -> y (n, 3)."""
    nodes, weights = chain
    nodes = [*nodes, node("MatMul", ["x", "k"], ["y"], "layer")]
    return model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {**weights, **more})


def held(model: ModelProto) -> list[str]:
    return [tensor.name for tensor in model.graph.initializer]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.__name__)
def test_a_weight_behind_constants_is_read_directly(chain: Callable[[], Chain]) -> None:
    model = load(behind(chain()))
    folded = fold_constants(model).model
    assert [each.op_type for each in folded.graph.node] == ["MatMul"]
    weights, skipped = find_weights(folded)
    assert len(find_layers(folded, weights)) == 1
    assert not skipped
    x = random(5, 4, seed=9)
    before, after = run(model, {"x": x}), run(folded, {"x": x})
    assert np.allclose(before["y"], after["y"], rtol=1e-6, atol=1e-6)
    onnx.checker.check_model(folded)


@pytest.mark.parametrize(
    ("chain", "name"),
    [(identity, "w"), (cast, "w"), (weight_norm, "v"), (slice_and_concat, "w"), (low_rank, "w")],
)
def test_a_weight_has_the_name_of_the_one_large_initializer_that_it_comes_from(
    chain: Callable[[], Chain], name: str
) -> None:
    assert held(fold_constants(load(behind(chain()))).model) == [name]


def test_else_it_has_the_name_of_the_tensor() -> None:
    parts = {f"part{i}": W[i : i + 1] for i in range(4)}
    chain = [node("Concat", list(parts), ["k"], axis=0)], parts
    assert held(fold_constants(load(behind(chain))).model) == ["k"]


def test_a_model_without_such_weights_stays() -> None:
    model = load(behind(([], {"k": W})))
    assert fold_constants(model).model is model


def test_the_given_model_stays_as_it_is() -> None:
    model = load(behind(weight_norm()))
    before = model.SerializeToString()
    fold_constants(model)
    assert model.SerializeToString() == before
