"""Odd but legitimate models, from end to end: the emitted model answers as the float model does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from calls import optimize
from graphs import model_of, node, random, run, two_rates, types
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

import onnx_evoq
from onnx_evoq import EvoqError

Case = tuple[ModelProto, dict[str, Any]]


def an_initializer_as_output() -> Case:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": random(8, 4), "k": random(3)}
    return model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 4], "k": [3]}, weights), {"x": random(9, 8)}


def its_own_weight_as_output() -> Case:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    outputs = {"y": ["n", 4], "w": [8, 4]}
    return model_of(nodes, {"x": [8, 8]}, outputs, {"w": random(8, 4)}), {"x": random(16, 8)}


def a_sparse_weight() -> Case:
    values = numpy_helper.from_array(random(3), "w2")
    indices = numpy_helper.from_array(np.array([0, 5, 11]), "places")
    nodes = [node("MatMul", ["x", "w1"], ["a"]), node("MatMul", ["a", "w2"], ["y"])]
    model = model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 3]}, {"w1": random(8, 4)})
    model.graph.sparse_initializer.append(
        SparseTensorProto(values=values, indices=indices, dims=[4, 3])
    )
    return model, {"x": random(9, 8)}


def ranks_that_change_with_the_batch() -> Case:
    nodes = [
        node("Squeeze", ["x"], ["s"]),
        node("MatMul", ["s", "w"], ["h"]),
        node("Reshape", ["h", "shape"], ["y"]),
    ]
    weights = {"w": random(8, 4), "shape": np.array([-1, 4])}
    model = model_of(nodes, {"x": ["n", 1, 8]}, {"y": ["n", 4]}, weights)
    return model, {"x": random(4, 1, 8)}


def a_sequence_across_the_cut() -> Case:
    nodes = [
        node("SplitToSequence", ["x"], ["q"], axis=0),
        node("MatMul", ["x", "w0"], ["i"]),
        node("SequenceInsert", ["q", "i"], ["r"]),
        node("SequenceAt", ["r", "last"], ["a"]),
        node("MatMul", ["a", "w1"], ["y"]),
    ]
    weights = {"w0": random(8, 8), "w1": random(8, 4), "last": np.array(-1)}
    return model_of(nodes, {"x": [1, 8]}, {"y": [1, 4]}, weights), {"x": random(9, 8)}


def a_mask_of_infinity() -> Case:
    nodes = [
        node("MatMul", ["x", "w"], ["h"]),
        node("Gather", ["mask", "place"], ["g"]),
        node("Add", ["h", "g"], ["s"]),
        node("Softmax", ["s"], ["y"]),
    ]
    weights = {"w": random(8, 9), "mask": np.triu(np.full((9, 9), -np.inf, np.float32), 1)}
    inputs = {"x": ["n", 8], "place": ["n"]}
    model = model_of(nodes, inputs, {"y": ["n", 9]}, weights, dtypes={"place": "int64"})
    return model, {"x": random(9, 8), "place": np.arange(9)}


def a_mask_of_the_smallest_number() -> Case:
    model, data = a_mask_of_infinity()
    mask = np.triu(np.full((9, 9), np.finfo(np.float32).min, np.float32), 1)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(mask, "mask"))
    return model, data


def class_numbers_as_output() -> Case:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("ArgMax", ["a"], ["y"], axis=1, keepdims=0),
    ]
    model = model_of(
        nodes, {"x": ["n", 8]}, {"y": ["n"]}, {"w": random(8, 4)}, dtypes={"y": "int64"}
    )
    return model, {"x": random(40, 8)}


def names_of_classes_as_output() -> Case:
    nodes = [
        node("MatMul", ["x", "w"], ["scores"]),
        node("ArgMax", ["scores"], ["place"], axis=1, keepdims=0),
        node("Gather", ["names", "place"], ["label"]),
    ]
    outputs = {"label": ["n"], "scores": ["n", 4]}
    model = model_of(nodes, {"x": ["n", 8]}, outputs, {"w": random(8, 4)})
    model.graph.initializer.append(
        helper.make_tensor("names", TensorProto.STRING, [4], [b"a", b"b", b"c", b"d"])
    )
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    return model, {"x": random(40, 8)}


def one_normalization_per_position() -> Case:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("BatchNormalization", ["a", "s", "s", "s", "s"], ["y"], spatial=0),
    ]
    weights = {"w": random(3, 2, 1, 1), "s": np.full((3, 2, 2), 0.5, np.float32)}
    model = model_of(nodes, {"x": ["n", 2, 2, 2]}, {"y": ["n", 3, 2, 2]}, weights, opset=7)
    return model, {"x": random(9, 2, 2, 2)}


def two_tables_of_the_same_indices() -> Case:
    nodes = [
        node("Gather", ["t1", "x"], ["a"]),
        node("Gather", ["t2", "x"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"t1": random(10, 4), "t2": random(100, 4, seed=1)}
    model = model_of(nodes, {"x": ["n"]}, {"y": ["n", 4]}, weights, dtypes={"x": "int64"})
    return model, {"x": np.arange(10)}


def an_output_of_zeros() -> Case:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Mul", ["a", "zero"], ["y"])]
    weights = {"w": random(8, 4), "zero": np.zeros(1, np.float32)}
    return model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 4]}, weights), {"x": random(9, 8)}


CASES = [
    an_initializer_as_output, its_own_weight_as_output, a_sparse_weight,
    ranks_that_change_with_the_batch, a_sequence_across_the_cut, a_mask_of_infinity,
    a_mask_of_the_smallest_number, class_numbers_as_output, names_of_classes_as_output,
    one_normalization_per_position, two_tables_of_the_same_indices, an_output_of_zeros,
]  # fmt: skip


@pytest.mark.parametrize("make", CASES)
def test_at_8_bits_the_emitted_model_answers_as_the_float_model_does(
    make: Callable[[], Case],
) -> None:
    model, data = make()
    # The converter has no way for this one to an operator set that knows DequantizeLinear.
    form: Any = "float" if make is one_normalization_per_position else "qdq"
    result = optimize(
        model, data, bits=8, granularity="channel", population=2, generations=1, format=form
    )
    rows = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 8
    feed = {name: array[:rows] for name, array in data.items()}
    for name, expected in run(model, feed).items():
        actual = run(result.model, feed)[name]
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(actual, expected, atol=0.05 * np.abs(expected).max() + 1e-6)
        else:
            assert np.mean(actual == expected) > 0.7
    assert result.evaluations > 0


@pytest.mark.parametrize("make", [class_numbers_as_output, names_of_classes_as_output])
def test_agreement_is_the_share_of_equal_classes(make: Callable[[], Case]) -> None:
    model, data = make()
    coarse = optimize(model, data, bits=2, strategy="none").model
    index = next(iter(run(model, data)))
    same = np.mean(run(coarse, data)[index] == run(model, data)[index])
    evaluation = onnx_evoq.evaluate(coarse, data, reference=model, metric="agreement")
    assert evaluation.value == pytest.approx(same)
    assert 0 < same < 1


def test_where_no_output_is_of_floats_the_floats_before_it_are_scored() -> None:
    model, data = class_numbers_as_output()
    assert optimize(model, data, bits=4, strategy="none").metric == "mse"


@pytest.mark.parametrize("bits", [2, 8])
def test_float16_values_at_the_limit_stay_finite(bits: int) -> None:
    nodes = [node("Mul", ["x", "small"], ["a"]), node("MatMul", ["a", "w"], ["y"])]
    weights = {"w": np.full((8, 4), -65504, np.float16), "small": np.float16(1e-3)}
    model = model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 4]}, weights, dtype="float16")
    result = optimize(model, random(9, 8), bits=bits, strategy="none")
    assert np.isfinite(result.scores["evolved"].search)


def test_synthetic_indices_stay_within_the_smallest_table() -> None:
    model, _ = two_tables_of_the_same_indices()
    assert optimize(model, bits=8, strategy="none").scores["evolved"].search < 0.1


def test_a_random_model_is_refused() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("RandomNormalLike", ["a"], ["noise"]),
        node("Add", ["a", "noise"], ["y"]),
    ]
    model = model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 4]}, {"w": random(8, 4)})
    with pytest.raises(EvoqError, match="gives other outputs each time it is run: export it"):
        optimize(model, random(9, 8), bits=8)


def test_outputs_of_changing_size_are_scored_before_what_selects() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"])]
    nodes.append(node("NonZero", ["b"], ["y"]))
    model = model_of(
        nodes, {"x": [1, 8]}, {"y": [2, "k"]}, {"w": random(8, 16)}, dtypes={"y": "int64"}
    )
    result = optimize(model, random(9, 8), bits=4, strategy="none")
    assert result.scores["evolved"].search < result.scores["nearest"].search
    assert [output.name for output in result.model.graph.output] == ["y"]
    assert onnx_evoq.evaluate(result.model, random(9, 8), reference=model).mse > 0


def test_narrow_codes_make_a_smaller_file_whatever_the_operator_set() -> None:
    nodes = [node("MatMul", ["x", "w1"], ["a"]), node("Relu", ["a"], ["b"])]
    nodes.append(node("MatMul", ["b", "w2"], ["y"]))
    weights = {"w1": random(64, 64), "w2": random(64, 64, seed=1)}
    model = model_of(nodes, {"x": ["n", 64]}, {"y": ["n", 64]}, weights, opset=13)
    rounding = {"strategy": "none", "init": "nearest"}
    eight, four = (optimize(model, random(16, 64), bits=bits, **rounding) for bits in (8, 4))
    assert types(four.model)["w1_quantized"] == "INT4"
    assert four.bytes_after < 0.65 * eight.bytes_after


def test_a_branch_that_never_runs_may_be_for_another_width() -> None:
    data: dict[str, Any] = {"x": random(16, 1, 16), "rate": np.full(16, 16)}  # whole feeds
    result = optimize(two_rates(), data, bits=8, population=2, generations=1)
    feed = {"x": random(1, 16), "rate": np.array(16)}
    expected, actual = (run(model, feed)["y"] for model in (two_rates(), result.model))
    np.testing.assert_allclose(actual, expected, atol=0.05 * np.abs(expected).max())


def test_a_weight_in_a_branch_that_no_sample_takes_is_named() -> None:
    data: dict[str, Any] = {"x": random(64, 1, 16), "rate": np.full(64, 16)}
    notes = optimize(two_rates(), data, bits=4, strategy="none").notes
    said = [note for note in notes if "nearest" in note]
    assert said == [
        "1 of 3 weights are in branches that no sample takes, and start from nearest rounding "
        "(w8): give samples that take them, too."
    ]
