"""The prefix and the suffix of a cut, and bridges between cuts."""

import numpy as np
from graphs import conv_net, mlp, model_of, node, random, rounded, run, split_net
from onnx import ModelProto, numpy_helper

from onnx_evoq.model import (
    Runnable,
    bridge,
    cut_at,
    find_layers,
    find_weights,
    fold_batch_norm,
    frontier_before,
    load,
    uncut,
    with_codes,
)
from onnx_evoq.model.cuts.cut import Cut, suffix
from onnx_evoq.signature import TensorSpec


def folded() -> ModelProto:
    return fold_batch_norm(load(conv_net()))[0]


def suffix_operators(model: Runnable, cut: Cut) -> list[str]:
    """The operators of the suffix."""
    specs = [TensorSpec(name, np.dtype("float32"), None) for name in cut.suffix_inputs]
    return [n.op_type for n in suffix(model, cut, specs).graph.node]


def test_the_first_layer_reads_the_input_itself() -> None:
    cut = cut_at(folded(), "w1")
    assert cut.prefix is None
    assert cut.suffix_inputs == ("x",)
    assert suffix_operators(folded(), cut)[0] == "Conv"


def test_a_tensor_that_a_shortcut_reads_crosses_the_cut() -> None:
    cut = cut_at(folded(), "w2")
    assert cut.suffix_inputs == ("c",)  # read by the convolution and by the sum suffix_operators it
    assert suffix_operators(folded(), cut) == [
        "Conv",
        "Add",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
    ]


def test_the_suffix_of_the_last_layer_is_that_layer() -> None:
    cut = cut_at(folded(), "w3")
    assert cut.suffix_inputs == ("g",)
    assert suffix_operators(folded(), cut) == ["Gemm"]
    assert cut.prefix is not None
    assert cut.prefix_outputs == ("g",)


def test_outputs_that_do_not_depend_on_the_weight_come_from_the_prefix() -> None:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("MatMul", ["a", "w2"], ["b"]),
    ]
    weights = {"w1": random(4, 4), "w2": random(4, 4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"a": ["n", 4], "b": ["n", 4]}, weights))
    cut = cut_at(model, "w2")
    assert cut.outputs == ("b",)
    assert cut.prefix_outputs == ("a",)
    assert cut_at(model, "w1").outputs == ("a", "b")


def test_constants_are_copied_instead_of_cached() -> None:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("Exp", ["bias"], ["b"]),
        node("MatMul", ["a", "w2"], ["c"]),
        node("Add", ["c", "b"], ["y"]),
    ]
    weights = {"w1": random(4, 4), "w2": random(4, 4), "bias": random(4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights))
    cut = cut_at(model, "w2")
    assert cut.suffix_inputs == ("a",)
    assert suffix_operators(model, cut) == ["Exp", "MatMul", "Add"]


def test_a_node_that_only_moves_the_weight_is_in_the_suffix_once() -> None:
    nodes = [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)}))
    assert suffix_operators(model, cut_at(model, "w")) == ["Transpose", "MatMul"]


def test_constants_of_constants_are_copied_in_order() -> None:
    nodes = [
        node("Exp", ["k"], ["b"]),
        node("Neg", ["k"], ["unread"]),
        node("Sqrt", ["b"], ["c"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "c"], ["y"]),
    ]
    weights = {"w": random(4, 4), "k": random(4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights))
    cut = cut_at(model, "w")
    assert suffix_operators(model, cut) == ["Exp", "Sqrt", "MatMul", "Add"]
    assert (cut.prefix, cut.suffix_inputs) == (None, ("x",))


def test_the_suffix_computes_what_the_model_does() -> None:
    model, x = folded(), random(2, 3, 8, 8)
    cut = cut_at(model, "w2")
    assert cut.prefix is not None
    assert [value.name for value in cut.prefix.graph.output] == ["c"]
    tensor = next(t for t in model.graph.initializer if t.name == "w2")
    crossing = run(cut.prefix, {"x": x})
    rest = suffix(model, cut, [TensorSpec("c", np.dtype("float32"), (None, 6, 8, 8))])
    found = run(rest, {"w2": numpy_helper.to_array(tensor), **crossing})
    np.testing.assert_allclose(found["logits"], run(model, {"x": x})["logits"], rtol=1e-5)
    assert (cut.dtypes, cut.whole) == ({"w2": "float32"}, False)
    assert {tensor.name for tensor in rest.graph.initializer} == {"b2", "w3", "b3"}
    assert [value.name for value in rest.graph.input] == ["w2", "c"]


def test_the_parts_of_a_model_are_named_after_it() -> None:
    model = folded()
    for name, expected in (("net", "net"), ("", "graph")):
        model.graph.name = name
        assert cut_at(model, "w2").prefix.graph.name == expected  # type: ignore[union-attr]


def test_the_suffix_of_a_float16_weight_takes_float16() -> None:
    model = fold_batch_norm(load(conv_net(dtype="float16")))[0]
    cut = cut_at(model, "w3")
    assert cut.dtypes == {"w3": "float16"}
    rest = suffix(model, cut, [TensorSpec("g", np.dtype("float16"), (None, 6))])
    types = {value.name: value.type.tensor_type.elem_type for value in rest.graph.input}
    assert types == {"w3": 10, "g": 10}


def test_a_weight_used_twice_is_cut_before_its_first_use() -> None:
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("MatMul", ["a", "w"], ["b"]),
        node("Tanh", ["b"], ["c"]),
        node("MatMul", ["c", "w"], ["y"]),
    ]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)}))
    assert suffix_operators(model, cut_at(model, "w")) == ["MatMul", "Tanh", "MatMul"]


def test_a_cut_at_several_weights_begins_at_the_first_of_them() -> None:
    cut = cut_at(folded(), "w3", "w2")
    assert list(cut.dtypes) == ["w3", "w2"]
    assert cut.suffix_inputs == ("c",)
    assert suffix_operators(folded(), cut) == suffix_operators(folded(), cut_at(folded(), "w2"))
    assert cut_at(folded(), "w1", "w3").prefix is None


def test_a_cut_between_branches_computes_the_other_branch_once() -> None:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("MatMul", ["x", "w2"], ["b"]),
        node("Add", ["a", "b"], ["c"]),
        node("MatMul", ["c", "w3"], ["y"]),
    ]
    weights = {name: random(4, 4) for name in ("w1", "w2", "w3")}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights))
    cut = cut_at(model, "w1", "w3")
    assert cut.suffix_inputs == ("b", "x")
    assert suffix_operators(model, cut) == ["MatMul", "Add", "MatMul"]


def test_a_cut_names_its_first_weight() -> None:
    assert cut_at(folded(), "w2").label == "'w2'"
    assert cut_at(folded(), "w2", "w1", "w3").label == "'w2' and 2 more"


def test_the_suffix_of_an_uncut_model_is_the_whole_model() -> None:
    model = load(mlp())
    cut = uncut(model, "second")
    assert cut.suffix_inputs == ("x",)
    assert (cut.prefix, cut.prefix_outputs, cut.outputs) == (None, (), ("logits",))
    assert cut.whole
    assert suffix_operators(model, cut) == [n.op_type for n in model.graph.node]


FLOATS = np.dtype("float32")


def test_a_bridge_computes_only_what_lies_between_two_cuts() -> None:
    between = bridge(folded(), [TensorSpec("c", FLOATS, (None, 6, 8, 8))], ["g"])
    assert between is not None
    operators = [n.op_type for n in between.graph.node]
    assert operators == ["Conv", "Add", "GlobalAveragePool", "Flatten"]
    assert [value.name for value in between.graph.input] == ["c"]
    assert {tensor.name for tensor in between.graph.initializer} == {"w2", "b2"}


def test_a_bridge_passes_on_a_tensor_that_crosses_both_cuts() -> None:
    between = bridge(folded(), [TensorSpec("c", FLOATS, (None, 6, 8, 8))], ["c", "d"])
    assert between is not None
    c = random(2, 6, 8, 8)
    found = run(between, {"c": c})
    whole = folded()
    del whole.graph.output[:]
    whole.graph.output.extend(between.graph.output)
    x = random(2, 3, 8, 8)
    expected = run(whole, {"x": x})
    np.testing.assert_array_equal(found["c"], c)
    np.testing.assert_allclose(run(between, {"c": expected["c"]})["d"], expected["d"], rtol=1e-5)


def test_there_is_no_bridge_backwards() -> None:
    assert bridge(folded(), [TensorSpec("g", FLOATS, (None, 6))], ["c"]) is None


def test_a_bridge_computes_all_outputs_of_a_node_if_one_is_needed() -> None:
    known = [TensorSpec(name, FLOATS, (None, 4)) for name in "ar"]
    between = bridge(load(split_net()), known, ["b", "c"])
    assert between is not None
    assert [n.op_type for n in between.graph.node] == ["Split", "MatMul"]
    assert [value.name for value in between.graph.input] == ["r"]


def two_branches() -> ModelProto:
    """x -> Exp -> (MatMul u -> Tanh) + (MatMul w, of the input, + a constant node) -> MatMul v."""
    nodes = [
        node("Exp", ["x"], ["e"]),
        node("MatMul", ["e", "u"], ["a"]),
        node("Tanh", ["a"], ["b"]),
        node("Sqrt", ["k"], ["c"]),
        node("MatMul", ["x", "w"], ["d"]),
        node("Add", ["d", "c"], ["f"]),
        node("Add", ["b", "f"], ["g"]),
        node("MatMul", ["g", "v"], ["y"]),
    ]
    weights = {"u": random(4, 4), "w": random(4, 4), "v": random(4, 4), "k": np.ones(4, np.float32)}
    return load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights))


def test_a_frontier_holds_what_the_rest_reads_and_no_weight_changes() -> None:
    model = two_branches()
    assert frontier_before(model, ["u", "w", "v"]) == ("e",)  # inputs and constants are left out
    assert frontier_before(model, ["w", "v"]) == ("b",)
    assert frontier_before(model, ["v"]) == ("g",)
    assert frontier_before(model, []) == ()


def test_nothing_is_before_a_layer_that_reads_the_input() -> None:
    assert frontier_before(folded(), ["w1", "w2", "w3"]) == ()
    assert frontier_before(folded(), ["w2", "w3"]) == ("c",)  # which the sum reads, too


def test_the_parts_of_a_network_have_its_values() -> None:
    model, x = folded(), random(2, 3, 8, 8)
    network = with_codes(model, rounded(model, 3))
    expected = run(network, {"x": x})["logits"]
    assert not np.allclose(expected, run(model, {"x": x})["logits"])
    cut = cut_at(network, "w2")
    assert cut.prefix is not None
    crossing = run(cut.prefix, {"x": x})
    rest = suffix(network, cut, [TensorSpec("c", FLOATS, (None, 6, 8, 8))])
    values = network.values["w2"].values  # type: ignore[union-attr]
    np.testing.assert_allclose(run(rest, {"w2": values, **crossing})["logits"], expected, rtol=1e-5)
    between = bridge(network, [TensorSpec("c", FLOATS, (None, 6, 8, 8))], ["logits"])
    assert between is not None
    np.testing.assert_allclose(run(between, crossing)["logits"], expected, rtol=1e-5)


def test_layers_are_found_in_a_network() -> None:
    model = folded()
    weights = find_weights(model)[0]
    found = find_layers(with_codes(model, rounded(model, 3)), weights)
    assert found == find_layers(model, weights)
