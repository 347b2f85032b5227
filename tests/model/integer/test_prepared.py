"""A float model gets a new enough operator set, and all nodes names."""

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node
from onnx import NodeProto

from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    in_order,
    load,
    makers_and_readers_of,
    opset_of,
    prepared,
    tensor_names,
)


def test_old_operator_sets_are_raised_and_new_ones_stay() -> None:
    assert opset_of(prepared(load(mlp(opset=11)))) == 13
    assert opset_of(prepared(load(mlp(opset=17)))) == 17
    assert opset_of(prepared(load(mlp(opset=17)), 21)) == 21


def test_all_nodes_have_names_of_their_own() -> None:
    model = load(conv_net())
    model.graph.node[0].name = model.graph.node[1].name = "same"
    names = [node.name for node in prepared(model).graph.node]
    assert len(set(names)) == len(names)
    assert names[0] == "same"
    assert all(names)
    assert model.graph.node[1].name == "same"


def test_readers_are_found_by_what_they_read() -> None:
    model = prepared(load(mlp()))
    (reader,) = makers_and_readers_of(model, ["second"])
    assert [node.input[1] for node in model.graph.node if node.name == reader] == ["second"]
    assert makers_and_readers_of(model, []) == []


def test_tensors_are_inputs_and_what_nodes_compute() -> None:
    model = load(mlp())
    outputs = [name for node in model.graph.node for name in node.output]
    assert tensor_names(model) == ["x", *outputs]


def test_nodes_are_sorted_by_what_they_read() -> None:
    model = prepared(load(conv_net()))
    before = [node.name for node in model.graph.node]
    shuffled = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node][::-1]
    del model.graph.node[:]
    model.graph.node.extend(shuffled)
    in_order(model)
    assert sorted(node.name for node in model.graph.node) == sorted(before)
    known = {"x"} | {tensor.name for tensor in model.graph.initializer}
    for each in model.graph.node:
        assert known.issuperset(each.input)
        known.update(each.output)


def test_names_that_scales_need_are_changed_or_named() -> None:
    nodes = [node("Mul", ["x", "x_scale"], ["y"])]
    weights = {"x_scale": np.ones(1, np.float32)}
    model = prepared(load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights)))
    assert [tensor.name for tensor in model.graph.initializer] == ["own_x_scale"]
    assert list(model.graph.node[0].input) == ["x", "own_x_scale"]
    nodes = [node("Mul", ["x", "x"], ["x_scale"])]
    fixed = load(model_of(nodes, {"x": ["n", 4]}, {"x_scale": ["n", 4]}, {}))
    with pytest.raises(ModelError, match="the name of tensor 'x_scale' is needed for scales"):
        prepared(fixed)
