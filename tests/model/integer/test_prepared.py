"""A float model gets a new enough operator set, and all nodes names."""

from graphs import conv_net, mlp

from onnx_evoq.model import load, opset_of, prepared, readers_of, tensor_names


def test_old_operator_sets_are_raised_and_new_ones_stay() -> None:
    assert opset_of(prepared(load(mlp(opset=11)))) == 13
    assert opset_of(prepared(load(mlp(opset=17)))) == 17
    assert opset_of(prepared(load(mlp(opset=17)), wide=True)) == 21


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
    (reader,) = readers_of(model, ["second"])
    assert [node.input[1] for node in model.graph.node if node.name == reader] == ["second"]
    assert readers_of(model, []) == []


def test_tensors_are_inputs_and_what_nodes_compute() -> None:
    model = load(mlp())
    outputs = [name for node in model.graph.node for name in node.output]
    assert tensor_names(model) == ["x", *outputs]
