"""A model for each target has what that target takes, and computes what was scored."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random, run
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnx_evoq
from onnx_evoq import Grid, OptionError, Policy, Result
from onnx_evoq.model import opset_of
from onnx_evoq.pipeline import choose_target, notes_on_target
from onnx_evoq.targets import TARGETS

X = random(48, 3, 8, 8, seed=3)
ROUNDING = onnx_evoq.Strategy("none", init="nearest")
SYMMETRIC = [name for name, target in TARGETS.items() if target.code_type == "symmetric"]


@cache
def made_for(
    target: str, bits: int = 8, activations: int | None = 8, strategy: Any = ROUNDING
) -> Result:
    return onnx_evoq.optimize(
        conv_net(), X, bits=bits, grid=Grid(activations=activations), strategy=strategy,
        time_budget=None, target=target,  # type: ignore[arg-type]
    )  # fmt: skip


def zero_points(result: Result) -> dict[str, Any]:
    held = {t.name: numpy_helper.to_array(t) for t in result.model.graph.initializer}
    quantizers = [n for n in result.model.graph.node if n.op_type == "QuantizeLinear"]
    return {n.input[0]: held[n.input[2]] for n in quantizers}


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "qonnx"])
def test_the_file_keeps_the_answers_in_the_reference(target: str) -> None:
    result = made_for(target)
    x = X[:1]
    floats = run(conv_net(), {"x": x})["logits"]
    if opset_of(result.model) < 19:  # the reference has no older QuantizeLinear
        found = run(result.model, {"x": x})["logits"]
    else:
        (found,) = ReferenceEvaluator(result.model).run(None, {"x": x})
    assert result.target == result.to_dict()["target"] == target
    assert np.square(found - floats).mean() < 0.01 * np.square(floats).mean()
    assert result.float_ops == {}


@pytest.mark.parametrize("target", SYMMETRIC)
def test_symmetric_codes_have_no_zero_point_and_keep_the_relu(target: str) -> None:
    result = made_for(target)
    assert {str(z.dtype) for z in zero_points(result).values()} == {"int8"}
    assert not any(z.any() for z in zero_points(result).values())
    assert result.integer_ops["Relu"] == 1
    assert all(each.signed and each.zero_point == 0 for each in result.activations)


def test_signed_codes_compute_what_unsigned_ones_do() -> None:
    signed, unsigned = made_for("onnxruntime-arm"), made_for("onnxruntime")
    own, others = zero_points(signed), zero_points(unsigned)
    assert {name: int(zero) + 128 for name, zero in own.items()} == others
    assert {0, 128} <= {int(zero) for zero in others.values()}
    outputs = [run(each.model, {"x": X})["logits"] for each in (signed, unsigned)]
    assert np.square(outputs[0] - outputs[1]).mean() < 1e-4 * np.square(outputs[0]).mean()


@pytest.mark.parametrize(
    ("target", "kinds"), [("vitis", ["int8"]), ("tensorrt", []), ("tidl", ["int32"])]
)
def test_biases_are_of_the_type_of_the_target(target: str, kinds: list[str]) -> None:
    model = made_for(target).model
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    read = [n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"]
    biases = [held[name] for name in read if name in held and held[name].ndim == 1]
    assert sorted({str(each.dtype) for each in biases}) == kinds


def test_narrow_range_leaves_the_lowest_code_out() -> None:
    for target, narrow in [("tidl", False), ("esp-dl", True)]:
        found = [
            int(numpy_helper.to_array(tensor).min())
            for tensor in made_for(target, strategy="none").model.graph.initializer
            if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1
        ]
        assert (min(found) > -128) is narrow
    grid = Grid(narrow_range=True)
    weights = np.array([[-1.0, 0.5], [0.25, 0.125]], np.float32)
    model = model_of(
        [node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 2]}, {"y": ["n", 2]}, {"w": weights}
    )
    lowest_of = {
        narrow: min(
            int(numpy_helper.to_array(t).min())
            for t in onnx_evoq.optimize(
                model, random(32, 2), bits=8, grid=own,
                strategy=ROUNDING,
            ).model.graph.initializer
            if t.data_type == TensorProto.INT8
        )
        for narrow, own in ((False, Grid()), (True, grid))
    }  # fmt: skip
    assert lowest_of == {False: -128, True: -127}


def test_a_target_with_fixed_shapes_gets_one_sample() -> None:
    model = made_for("qnn").model
    ends = [*model.graph.input, *model.graph.output]
    assert [each.type.tensor_type.shape.dim[0].dim_value for each in ends] == [1, 1]


@pytest.mark.parametrize("activations", [None, 4])
def test_a_portable_file_has_operator_set_19_and_weights_of_8_bits(activations: int | None) -> None:
    model = made_for("portable", 4, activations).model
    assert opset_of(model) >= 19
    kinds = {t.data_type for t in model.graph.initializer if len(t.dims) > 1}
    assert kinds == {TensorProto.INT8}


def test_weights_alone_are_noted_where_a_runtime_needs_activations() -> None:
    assert any("give --activations 8" in note for note in made_for("vitis", 8, None).notes)
    assert not any("give --activations 8" in note for note in made_for("openvino", 8, None).notes)


def test_a_policy_that_contradicts_the_target_is_refused() -> None:
    widths = {"w1": 4, "w2": 4, "w3": 4}
    policy = Policy(widths, granularity=dict.fromkeys(widths, "channel"))
    with pytest.raises(OptionError, match="does not take granularity channel, which the policy"):
        onnx_evoq.optimize(conv_net(), X, policy=policy, strategy="none", target="vitis")


def test_a_transposed_convolution_has_one_step_where_the_target_needs_it() -> None:
    nodes = [node("ConvTranspose", ["x", "w"], ["a"]), node("Conv", ["a", "v"], ["y"])]
    weights = {"w": random(3, 4, 2, 2), "v": random(2, 4, 1, 1, seed=1)}
    model = model_of(nodes, {"x": ["n", 3, 4, 4]}, {"y": ["n", 2, 5, 5]}, weights)
    result = onnx_evoq.optimize(
        model, random(32, 3, 4, 4), bits=8, grid=Grid("channel", activations=8), strategy="none",
        target="tidl",
    )  # fmt: skip
    scales = {t.name: t.dims for t in result.model.graph.initializer if t.name.endswith("_scale")}
    assert (list(scales["w_scale"]), list(scales["v_scale"])) == ([], [2])
    assert any("one step for a ConvTranspose: w have" in note for note in result.notes)


@pytest.mark.parametrize(
    ("storage", "form", "activations", "message"),
    [
        ("int8", "float", None, "storage int8 is for integer weights"),
        ("auto", "float", 8, "integer activations need the qdq format"),
        ("int4", "qdq", 8, "storage int4 is not for integer activations"),
        ("int3", None, None, "storage 'int3' is unknown"),
        ("int4", "c", None, "format c stores codes as int8_t: leave the storage out"),
        ("auto", "c++", None, "format 'c\\+\\+' is unknown"),
    ],
)
def test_what_does_not_go_together_is_refused(
    storage: Any, form: Any, activations: int | None, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        choose_target(None, Grid(activations=activations), storage, form)


def test_the_target_sets_what_is_left_open() -> None:
    target, storage, form = choose_target("openvino", Grid(), "auto", None)
    assert (target.name, storage, form) == ("openvino", "int4", "qdq")


def test_a_converter_that_quantizes_floats_gets_weights_that_are_on_the_grid() -> None:
    options: dict[str, Any] = {
        "bits": 6, "grid": Grid(activations=8), "strategy": "none", "time_budget": None,
        "target": "esp-dl",
    }  # fmt: skip
    integers = onnx_evoq.optimize(conv_net(), X, **options)
    floats = onnx_evoq.optimize(conv_net(), X, format="float", **options)
    assert floats.scores == integers.scores
    assert floats.activations == integers.activations
    kinds = {n.op_type for n in floats.model.graph.node}
    assert kinds.isdisjoint({"QuantizeLinear", "DequantizeLinear"})
    held = {t.name: numpy_helper.to_array(t) for t in floats.model.graph.initializer}
    codes = {t.name: numpy_helper.to_array(t) for t in integers.model.graph.initializer}
    for layer in floats.layers:
        step = 2.0**-layer.frac_bits  # type: ignore[operator]
        assert (held[layer.name] == step * codes[f"{layer.name}_quantized"]).all()


def test_a_c_header_is_made_from_codes_of_8_bits() -> None:
    target, storage, form = choose_target("openvino", Grid(), "auto", "c")
    assert (target.name, storage, form) == ("openvino", "int8", "c")
    with pytest.raises(OptionError, match="format c and target qonnx contradict each other: leave"):
        choose_target("qonnx", Grid(), "auto", "c")


def test_what_a_target_does_with_a_file_is_no_note_on_a_header() -> None:
    esp = TARGETS["esp-dl"]
    assert any("--format float" in note for note in notes_on_target(esp, 8))
    assert notes_on_target(esp, 8, "c") == []
    assert any("give --activations 8" in note for note in notes_on_target(esp, None, "c"))
