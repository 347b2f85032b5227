"""The tensors of each batch, and their specifications."""

import numpy as np
from graphs import mlp, random

from onnx_evoq.batch import make_batches
from onnx_evoq.engine.cuts import BatchTensors, specs_of
from onnx_evoq.model import input_specs, load
from onnx_evoq.signature import TensorSpec

X = random(10, 4)
BATCHES = make_batches({"x": X}, input_specs(load(mlp())), 4)


def test_known_tensors_are_the_inputs_and_those_at_the_cut() -> None:
    at_cut = [{"a": np.full(1, index)} for index in range(5)]
    known = BatchTensors(BATCHES[1:], at_cut, 2)
    assert len(known) == 2
    assert set(known[0]) == {"x", "a"}
    np.testing.assert_array_equal(known[1]["x"], X[8:])
    assert [each["a"].tolist() for each in known] == [[2], [3]]


def test_an_axis_that_changes_is_open_and_so_is_a_rank_that_changes() -> None:
    known = [
        {"a": np.zeros((2, 3), np.float32), "b": np.zeros(2), "c": np.zeros(4, np.int64)},
        {"a": np.zeros((5, 3), np.float32), "b": np.zeros((2, 1)), "c": np.zeros(4, np.int64)},
    ]
    assert specs_of(known, ["a", "b", "c"]) == [
        TensorSpec("a", np.dtype("float32"), (None, 3)),
        TensorSpec("b", np.dtype("float64"), None),
        TensorSpec("c", np.dtype("int64"), (4,)),
    ]
