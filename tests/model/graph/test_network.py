"""Networks: a model and values beside it compute what a model with these values does."""

import numpy as np
import onnx
from graphs import conv_net, mlp, model_of, node, proto, random, rounded, run
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from onnx_evoq.model import (
    as_network,
    find_weights,
    fold_batch_norm,
    load,
    replace_weights,
    same,
    serialize,
    to_run,
    with_codes,
)
from onnx_evoq.model.graph.network import Network, part_of, to_model
from onnx_evoq.score import Session

MODEL = load(mlp())
X = random(5, 4, seed=3)
OTHER = {"first": random(4, 6, seed=9), "first_bias": random(6, seed=8)}


def tensor(model: ModelProto, name: str) -> TensorProto:
    (found,) = (each for each in model.graph.initializer if each.name == name)
    return found


def values(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def outputs(model: ModelProto | Network, x: NDArray[np.generic] = X) -> NDArray[np.generic]:
    """What ONNX Runtime computes, with arrays beside the model."""
    with to_run(model) as (content, beside, *_):
        return Session(content, values=beside).run({"x": x})["logits"]


def test_the_model_of_a_network_has_its_values_and_all_else_of_the_model() -> None:
    model = load(mlp())
    model.metadata_props.add(key="author", value="someone")
    model.graph.doc_string, model.producer_name = "text", "a program"
    before = serialize(model)
    network = as_network(model).with_values(OTHER)
    assert serialize(to_model(network)) == serialize(replace_weights(model, OTHER))
    assert serialize(model) == before


def test_a_model_without_other_values_is_equal_to_its_network() -> None:
    assert to_model(as_network(MODEL)) == MODEL
    assert serialize(to_model(Network(MODEL))) == serialize(MODEL)
    network = Network(MODEL, OTHER)
    assert as_network(network) is network


def test_initializers_can_be_left_out() -> None:
    left = to_model(as_network(MODEL), {"first", "second"})
    assert set(values(left)) == {"first_bias", "second_bias"}
    assert left.graph.node == MODEL.graph.node


def test_later_values_replace_earlier_ones_only() -> None:
    one = as_network(MODEL).with_values(OTHER)
    two = one.with_values({"first": random(4, 6, seed=7)})
    assert two.values["first_bias"] is OTHER["first_bias"]
    assert one.values["first"] is OTHER["first"]
    assert (one.model, two.model, two.graph) == (MODEL, MODEL, MODEL.graph)


def test_a_value_is_an_array_codes_or_an_initializer() -> None:
    first, codes = tensor(MODEL, "first"), rounded(MODEL, 4)["first"]
    network = as_network(MODEL)
    np.testing.assert_array_equal(network.value(first), numpy_helper.to_array(first))
    given = {
        "an array": OTHER["first"].ravel().astype(np.float64),  # of as many values
        "codes": codes,
        "another initializer": numpy_helper.from_array(OTHER["first"], "elsewhere"),
    }
    expected = {"an array": OTHER["first"], "codes": codes.values}
    for kind, value in given.items():
        found = network.with_values({"first": value}).value(first)
        assert (found.dtype, found.shape) == (np.float32, (4, 6))
        np.testing.assert_array_equal(found, expected.get(kind, OTHER["first"]))


def test_values_have_the_type_of_the_model() -> None:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    network = with_codes(model, rounded(model, 3))
    for weight in find_weights(model)[0]:
        value = network.value(tensor(model, weight.name))
        assert (value.dtype, value.shape) == (np.float16, weight.values.shape)
    x = random(2, 3, 8, 8, dtype="float16")
    np.testing.assert_array_equal(outputs(network, x), outputs(proto(network), x))


def test_with_codes_the_weights_are_steps_times_codes() -> None:
    quantized = rounded(MODEL, 3)
    network = with_codes(MODEL, quantized)
    expected = replace_weights(MODEL, {name: each.values for name, each in quantized.items()})
    assert serialize(to_model(network)) == serialize(expected)
    again = with_codes(network, {"first": rounded(MODEL, 8)["first"]})
    assert again.values["second"] is quantized["second"]


def test_a_part_reads_its_own_initializers_only() -> None:
    network = as_network(MODEL).with_values(OTHER)
    nodes, inputs = list(MODEL.graph.node)[:2], list(MODEL.graph.input)
    part = part_of(network, nodes, inputs, [onnx.helper.make_empty_tensor_value_info("b")])
    assert [each.name for each in part.graph.initializer] == ["first", "first_bias"]
    assert {**part.values} == OTHER
    assert not any(each.raw_data for each in part.graph.initializer)
    assert (part.graph.name, part.model.opset_import) == ("test", MODEL.opset_import)
    np.testing.assert_allclose(
        run(part, {"x": X})["b"], X @ OTHER["first"] + OTHER["first_bias"], rtol=1e-5
    )


def test_a_weight_that_a_part_has_as_an_input_is_no_initializer() -> None:
    inputs = [*MODEL.graph.input, onnx.helper.make_tensor_value_info("first", 1, [4, 6])]
    part = part_of(MODEL, list(MODEL.graph.node), inputs, list(MODEL.graph.output))
    assert "first" not in {each.name for each in part.graph.initializer}
    found = run(part, {"x": X, "first": OTHER["first"]})["logits"]
    expected = outputs(replace_weights(MODEL, {"first": OTHER["first"]}))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_branch_may_read_a_value_beside_the_graph() -> None:
    def branch(name: str, op_type: str) -> onnx.GraphProto:
        value = onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])
        nodes = [node("MatMul", ["x", "w"], [f"{name}_a"]), node(op_type, [f"{name}_a"], [name])]
        return onnx.helper.make_graph(nodes, name, [], [value])

    nodes = [
        node("Not", ["flag"], ["no"]),
        node(
            "If", ["no"], ["logits"], then_branch=branch("t", "Relu"),
            else_branch=branch("e", "Neg"),
        ),
    ]  # fmt: skip
    weights = {"w": random(4, 4), "flag": np.array(True)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"logits": ["n", 4]}, weights))
    network = as_network(model).with_values({"w": random(4, 4, seed=2)})
    np.testing.assert_allclose(outputs(network), -(X @ random(4, 4, seed=2)), rtol=1e-5)


def test_networks_are_the_same_by_their_model_and_their_values() -> None:
    codes = rounded(MODEL, 3)
    network = with_codes(MODEL, codes).with_values({"first_bias": OTHER["first_bias"]})
    copy = with_codes(load(mlp()), rounded(MODEL, 3))
    assert same(network, copy.with_values({"first_bias": OTHER["first_bias"].copy()}))
    assert not same(network, copy)
    assert not same(network, network.with_values({"first_bias": random(6)}))
    assert not same(network, with_codes(network, rounded(MODEL, 4)))
    assert not same(network, network.with_values({"first": codes["first"].values}))
    assert not same(network, Network(load(mlp(opset=18)), network.values))


def test_initializers_as_values_are_the_same_by_their_content() -> None:
    first = tensor(MODEL, "first")
    one, two = (Network(MODEL, {"first": first}), Network(MODEL, {"first": TensorProto()}))
    copy = TensorProto()
    copy.CopyFrom(first)
    assert same(one, Network(MODEL, {"first": copy}))
    assert not same(one, two)
    assert not same(one, Network(MODEL, {"first": numpy_helper.to_array(first)}))
