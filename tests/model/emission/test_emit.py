"""Emitted models: valid, of the stated types, and equal to what was scored."""

import json

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, model_of, node, random, rounded, run, types
from onnx import TensorProto, checker
from onnx.reference import ReferenceEvaluator

from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    describe,
    emit_float,
    emit_qdq,
    find_weights,
    fold_batch_norm,
    load,
    replace_weights,
    serialize,
)
from onnx_evoq.setup import nearest_of

CONTAINERS = {8: "INT8", 7: "INT8", 6: "INT8", 5: "INT8", 4: "INT4", 3: "INT4", 2: "INT2"}
OPSETS = {"INT8": 17, "INT4": 21, "INT2": 25}


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("bits", range(2, 9))
def test_the_qdq_form_computes_what_the_float_form_does(bits: int, channel: bool) -> None:
    model, _ = fold_batch_norm(load(conv_net(opset=17)))
    quantized = rounded(model, bits, channel=channel)
    x = random(3, 3, 8, 8, seed=3)
    expected = run(emit_float(model, quantized), {"x": x})["logits"]
    emitted = emit_qdq(model, quantized, narrowest=2)
    checker.check_model(emitted, full_check=True)
    np.testing.assert_allclose(run(emitted, {"x": x})["logits"], expected, rtol=1e-5, atol=1e-5)
    assert types(emitted)["w2_quantized"] == CONTAINERS[bits]
    assert emitted.opset_import[0].version == OPSETS[CONTAINERS[bits]]


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_the_reference_implementation_agrees(bits: int, channel: bool) -> None:
    model = load(mlp(opset=21))
    quantized = rounded(model, bits, channel=channel)
    feed = {"x": random(5, 4, seed=3)}
    expected, actual = (
        ReferenceEvaluator(emitted).run(None, feed)[0]
        for emitted in (
            emit_float(model, quantized),
            emit_qdq(model, quantized, narrowest=2),
        )
    )
    assert (actual == expected).all()


def test_codes_are_stored_as_they_are() -> None:
    model = load(mlp(opset=17))
    quantized = rounded(model, 8)
    tensors = {t.name: t for t in emit_qdq(model, quantized, narrowest=2).graph.initializer}
    stored = onnx.numpy_helper.to_array(tensors["first_quantized"])
    assert (stored == quantized["first"][0]).all()
    assert onnx.numpy_helper.to_array(tensors["first_scale"]) == quantized["first"][1].step
    assert not onnx.numpy_helper.to_array(tensors["first_zero_point"]).any()


def test_biases_stay_float() -> None:
    model = load(mlp(opset=17))
    kinds = types(emit_qdq(model, rounded(model, 8), narrowest=2))
    assert kinds["first_bias"] == kinds["second_bias"] == "FLOAT"


def test_without_narrow_types_the_opset_stays() -> None:
    model = load(mlp(opset=13))
    emitted = emit_qdq(model, rounded(model, 2), narrowest=8)
    assert emitted.opset_import[0].version == 13
    assert types(emitted)["first_quantized"] == "INT8"


def test_an_old_opset_is_raised_as_far_as_needed() -> None:
    old = load(mlp(opset=9))
    assert emit_qdq(old, rounded(old, 8), narrowest=2).opset_import[0].version == 10
    per_channel = emit_qdq(old, rounded(old, 8, channel=True), narrowest=2)
    assert per_channel.opset_import[0].version == 13


def test_widths_may_differ_from_weight_to_weight() -> None:
    model = load(mlp(opset=17))
    quantized = {**rounded(model, 8), "second": rounded(model, 3)["second"]}
    emitted = emit_qdq(model, quantized, narrowest=2)
    assert types(emitted)["first_quantized"] == "INT8"
    assert types(emitted)["second_quantized"] == "INT4"
    assert emitted.opset_import[0].version == 21


@pytest.mark.parametrize(("bits", "version"), [(8, 4), (4, 10), (2, 13)])
def test_the_ir_version_is_raised_as_far_as_the_type_needs(bits: int, version: int) -> None:
    model = load(mlp(opset=17))
    model.ir_version = 4
    assert emit_qdq(model, rounded(model, bits), narrowest=2).ir_version == version
    mixed = {**rounded(model, 8), "second": rounded(model, bits)["second"]}
    assert emit_qdq(model, mixed, narrowest=2).ir_version == version


def test_a_newer_ir_version_stays() -> None:
    model = load(mlp(opset=17))
    assert emit_qdq(model, rounded(model, 8), narrowest=2).ir_version == 8


def test_one_weight_with_steps_per_channel_needs_their_opset() -> None:
    old = load(mlp(opset=9))
    channel = {**rounded(old, 8), "second": rounded(old, 8, channel=True)["second"]}
    assert emit_qdq(old, channel, narrowest=2).opset_import[0].version == 13


def test_a_model_with_the_opset_that_is_needed_is_not_converted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx.version_converter, "convert_version", None)
    model = load(mlp(opset=21))
    assert emit_qdq(model, rounded(model, 4), narrowest=2).opset_import[0].version == 21


def test_a_conversion_that_gives_an_invalid_model_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx.version_converter, "convert_version", lambda *_: onnx.ModelProto())
    model = load(mlp(opset=17))
    with pytest.raises(ModelError, match="cannot be converted from operator set 17 to 21"):
        emit_qdq(model, rounded(model, 4), narrowest=2)


def test_an_emitted_model_that_is_not_valid_is_refused() -> None:
    model = load(mlp(opset=17))
    quantized = rounded(model, 8)
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match=r"not valid with integer weights: .*nowhere"):
        emit_qdq(model, quantized, narrowest=2)


def test_a_conversion_states_no_more_shapes_than_the_model() -> None:
    model = load(mlp(opset=17))
    model.graph.value_info.append(
        onnx.helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", 6])
    )
    emitted = emit_qdq(model, rounded(model, 4), narrowest=2)
    assert [value.name for value in emitted.graph.value_info] == ["b"]


def test_metadata_are_added_to_an_emitted_model() -> None:
    model = load(mlp(opset=17))
    emitted = emit_float(model, rounded(model, 8))
    describe(emitted, {"key": "value"})
    (entry,) = emitted.metadata_props
    assert (entry.key, entry.value) == ("key", "value")
    assert not model.metadata_props


def test_replaced_weights_keep_their_type_and_shape() -> None:
    model = load(conv_net(dtype="float16"))
    before = model.SerializeToString()
    changed = replace_weights(model, {"w3": np.arange(30.0), "absent": np.zeros(1)})
    tensors = {tensor.name: tensor for tensor in changed.graph.initializer}
    values = onnx.numpy_helper.to_array(tensors["w3"])
    assert (values.dtype, values.shape) == (np.float16, (6, 5))
    assert values.ravel().tolist() == list(range(30))
    assert model.SerializeToString() == before


def test_a_model_that_cannot_be_converted_is_refused() -> None:
    # The attribute `spatial` went away with operator set 9.
    norm = node("BatchNormalization", ["a", "s", "s", "s", "s"], ["y"], spatial=0)
    nodes = [node("MatMul", ["x", "w"], ["a"]), norm]
    weights = {"w": random(4, 3), "s": np.ones(3, np.float32)}
    model = load(model_of(nodes, {"x": [2, 4]}, {"y": [2, 3]}, weights, opset=8))
    with pytest.raises(ModelError, match="cannot be converted from operator set 8 to 21: export"):
        emit_qdq(model, rounded(model, 4), narrowest=2)


def test_float16_weights_come_back_as_float16() -> None:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    quantized = rounded(model, 8)
    x = random(2, 3, 8, 8, dtype="float16")
    emitted = emit_qdq(model, quantized, narrowest=2)
    expected = run(emit_float(model, quantized), {"x": x})["logits"]
    actual = run(emitted, {"x": x})["logits"]
    assert actual.dtype == np.float16
    np.testing.assert_allclose(actual, expected, rtol=1e-2, atol=1e-2)


def test_names_that_are_taken_get_a_number() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "w_scale"], ["y"])]
    weights = {"w": random(4, 3), "w_scale": random(3)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights))
    emitted = emit_qdq(model, rounded(model, 8), narrowest=2)
    assert {"w_scale", "w_scale_1"} <= set(types(emitted))


def test_a_weight_read_inside_a_branch_is_dequantized_outside() -> None:
    def branch(name: str, op_type: str) -> onnx.GraphProto:
        value = onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])
        nodes = [node("MatMul", ["x", "w"], [f"{name}_a"]), node(op_type, [f"{name}_a"], [name])]
        return onnx.helper.make_graph(nodes, name, [], [value])

    nodes = [
        node("If", ["flag"], ["y"], then_branch=branch("t", "Relu"), else_branch=branch("e", "Neg"))
    ]
    model = load(
        model_of(
            nodes, {"x": ["n", 4], "flag": []}, {"y": ["n", 4]}, {"w": random(4, 4)},
            dtypes={"flag": "bool"},
        )
    )  # fmt: skip
    quantized = rounded(model, 4)
    for flag in (True, False):
        feed = {"x": random(2, 4, seed=2), "flag": np.array(flag)}
        actual = run(emit_qdq(model, quantized, narrowest=2), feed)["y"]
        expected = run(emit_float(model, quantized), feed)["y"]
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_metadata_are_added_to_those_that_were_there() -> None:
    model = load(mlp(opset=17))
    onnx.helper.set_model_props(model, {"author": "someone", "onnx_evoq.seed": "1"})
    emitted = emit_qdq(model, rounded(model, 8), narrowest=2)
    describe(emitted, {"onnx_evoq.seed": "2"})
    props = {entry.key: entry.value for entry in emitted.metadata_props}
    assert props == {"author": "someone", "onnx_evoq.seed": "2"}


@pytest.mark.parametrize("emit", [emit_float, lambda *args: emit_qdq(*args, narrowest=2)])
def test_the_same_codes_give_the_same_bytes(emit: object) -> None:
    model = load(mlp(opset=17))
    one, two = (emit(model, rounded(model, 4)) for _ in range(2))  # type: ignore[operator]
    for each in (one, two):
        describe(each, {"b": json.dumps({"y": 1}), "a": "x"})
    assert serialize(one) == serialize(two)


def test_narrow_types_take_less_room() -> None:
    model = load(conv_net(opset=25))
    sizes = [
        len(serialize(emit_qdq(model, rounded(model, bits), narrowest=2))) for bits in (8, 4, 2)
    ]
    weights = sum(weight.values.size for weight in find_weights(model)[0])
    # Half a byte per code less, then a quarter, but for a few bytes of headers
    assert sizes[0] - sizes[1] == pytest.approx(weights / 2, abs=50)
    assert sizes[1] - sizes[2] == pytest.approx(weights / 4, abs=50)


@pytest.mark.parametrize(("widths", "kind"), [((2, 4, 3), "INT4"), ((2, 6, 8), "INT8")])
def test_the_widest_channel_decides_the_type(widths: tuple[int, ...], kind: str) -> None:
    # first (4, 6) has its channels along axis 1, second (3, 6) along axis 0
    model = load(mlp(opset=17))
    bits = {"first": widths * 2, "second": widths}
    quantized = nearest_of(find_weights(model)[0], bits, "channel", "pow2")
    emitted = emit_qdq(model, quantized, narrowest=2)
    tensors = {tensor.name: tensor for tensor in emitted.graph.initializer}
    for name, (codes, grid) in quantized.items():
        assert types(emitted)[f"{name}_quantized"] == kind
        assert (onnx.numpy_helper.to_array(tensors[f"{name}_quantized"]) == codes).all()
        assert (onnx.numpy_helper.to_array(tensors[f"{name}_scale"]) == grid.step).all()
    x = random(5, 4, seed=3)
    hidden = np.maximum(x @ quantized["first"].values + random(6, seed=2), 0)
    expected = hidden @ quantized["second"].values.T + random(3, seed=4)
    np.testing.assert_allclose(run(emitted, {"x": x})["logits"], expected, rtol=1e-5, atol=1e-5)
