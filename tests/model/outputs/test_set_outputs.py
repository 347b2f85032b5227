import numpy as np
from graphs import model_of, node, random, run
from selecting_nets import detector

from onnx_evoq.model import channel_groups, load, splittable_layers
from onnx_evoq.model.outputs.set_outputs import (
    has_tensors,
    outputs_at,
    outputs_of_model,
    replace_outputs,
    restore_outputs,
    with_outputs,
)


def test_outputs_can_be_replaced_and_restored() -> None:
    model = load(detector())
    before, own = model.SerializeToString(), outputs_of_model(model)
    for _ in range(2):
        replace_outputs(model, outputs_at(own, ["scores", "flat"], {"scores": 1, "flat": 1}), own)
    assert [value.name for value in model.graph.output] == ["scores", "flat"]
    assert [node.input[0] for node in model.graph.node if "not scored" in node.output[0]] == ["y"]
    assert set(run(model, {"x": random(1, 3, 8, 8)})) == {"scores", "flat"}
    restore_outputs(model, own)
    assert model.SerializeToString() == before


def test_channels_of_an_output_that_is_not_scored_keep_their_scale() -> None:
    nodes = [
        node("Conv", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["features"]),
        node("Conv", ["features", "second"], ["y"]),
    ]
    weights = {"first": random(4, 3, 1, 1), "second": random(2, 4, 1, 1)}
    model = load(model_of(nodes, {"x": [1, 3, 4, 4]}, {"features": None, "y": None}, weights))
    assert channel_groups(model).count == 0
    own = outputs_of_model(model)
    replace_outputs(model, outputs_at(own, ["y"], {}), own)
    assert channel_groups(model).count == 0
    assert splittable_layers(model)[0] == {}


def test_a_part_with_other_outputs_has_no_other_nodes() -> None:
    model, x = load(detector()), random(1, 3, 8, 8)
    part = with_outputs(model, ["flat"])
    assert {node.op_type for node in part.graph.node} == {
        "Conv", "Reshape", "Transpose", "Slice", "Squeeze",
    }  # fmt: skip
    replace_outputs(model, outputs_at([], ["flat"], {"flat": 1}), [])
    assert np.array_equal(run(part, {"x": x})["flat"], run(model, {"x": x})["flat"])


def test_tensors_are_those_that_nodes_compute() -> None:
    assert has_tensors(load(detector()), ["flat", "selected"])
    assert not has_tensors(load(detector()), ["flat", "w"])
