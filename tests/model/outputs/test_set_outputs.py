import numpy as np
from graphs import random, run
from selecting_nets import detector

from onnx_evoq.model import load
from onnx_evoq.model.outputs.set_outputs import (
    has_tensors,
    outputs_at,
    outputs_of_model,
    set_outputs,
    with_outputs,
)


def test_outputs_can_be_set_and_set_back() -> None:
    model = load(detector())
    before, own = model.SerializeToString(), outputs_of_model(model)
    set_outputs(model, outputs_at(own, ["scores", "y"], {"scores": 1}))
    assert [value.name for value in model.graph.output] == ["scores", "y"]
    assert set(run(model, {"x": random(1, 3, 8, 8)})) == {"scores", "y"}
    set_outputs(model, own)
    assert model.SerializeToString() == before


def test_a_part_with_other_outputs_has_no_other_nodes() -> None:
    model, x = load(detector()), random(1, 3, 8, 8)
    part = with_outputs(model, ["flat"])
    assert {node.op_type for node in part.graph.node} == {
        "Conv", "Reshape", "Transpose", "Slice", "Squeeze",
    }  # fmt: skip
    set_outputs(model, outputs_at([], ["flat"], {"flat": 1}))
    assert np.array_equal(run(part, {"x": x})["flat"], run(model, {"x": x})["flat"])


def test_tensors_are_those_that_nodes_compute() -> None:
    assert has_tensors(load(detector()), ["flat", "selected"])
    assert not has_tensors(load(detector()), ["flat", "w"])
