"""A model in QONNX computes what the QDQ model does, and says the width of each tensor."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random, recurrent, rounded, run, types
from integer_nets import conv_task, pooled
from onnx import ModelProto, TensorProto, numpy_helper
from qonnx_runs import parameters, quants, run_qonnx

import onnx_evoq
from onnx_evoq import Grid
from onnx_evoq.activations import integer_model, quantize_activations
from onnx_evoq.model import emit_qdq, emit_qonnx, fold_batch_norm, load, with_codes
from onnx_evoq.targets import find_target


def integers(bits: int, activations: int) -> tuple[ModelProto, dict[str, int]]:
    """The convolutional net on integers, and the widths of its weights."""
    task = replace(conv_task(bits), target=find_target("qonnx"))
    found = quantize_activations(task, activations)
    quantized = rounded(task.model, bits)
    qdq = integer_model(found, with_codes(found.network, quantized), quantized)
    return qdq, dict.fromkeys(quantized, bits)


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("bits", [2, 6])
def test_weights_have_their_width_and_their_values(bits: int, channel: bool) -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    quantized = rounded(model, bits, channel=channel)
    qdq = emit_qdq(model, quantized, narrowest=8)
    before = qdq.SerializeToString()
    found = emit_qonnx(qdq, dict.fromkeys(quantized, bits))
    assert qdq.SerializeToString() == before
    assert set(quants(found)) == set(quantized)
    held = {t.name: numpy_helper.to_array(t) for t in found.graph.initializer}
    for name, weight in quantized.items():
        given = parameters(found, quants(found)[name])
        assert given["bitwidth"] == bits
        assert (given["signed"], given["narrow"], given["rounding_mode"]) == (1, 0, b"ROUND")
        assert given["zeropt"].ndim == given["scale"].ndim == weight.codes.ndim
        assert (given["scale"] == weight.grid.steps_for(weight.codes.ndim)).all()
        assert (held[quants(found)[name].input[0]] == weight.values).all()
    x = random(2, 3, 8, 8)
    (outputs,) = run_qonnx(found, {"x": x})
    np.testing.assert_allclose(outputs, run(qdq, {"x": x})["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("bits", "activations"), [(6, 8), (4, 5), (4, 12)])
def test_activations_have_their_width_and_the_outputs_are_equal(
    bits: int, activations: int
) -> None:
    qdq, widths = integers(bits, activations)
    found = emit_qonnx(qdq, widths)
    assert {node.op_type for node in found.graph.node}.isdisjoint(
        {"QuantizeLinear", "DequantizeLinear", "Clip", "Cast"}
    )
    assert set(types(found).values()) == {"FLOAT"}
    by_source = {n.input[0]: parameters(found, n) for n in quants(found).values()}
    outside = max(8, activations)
    assert {s: int(by_source[s]["bitwidth"]) for s in ("x", "c", "d", "e")} == {
        "x": outside, "c": activations, "d": activations, "e": activations,
    }  # fmt: skip
    assert {s: by_source[s]["signed"] for s in ("x", "c", "d")} == {"x": 1, "c": 0, "d": 1}
    x = random(4, 3, 8, 8, seed=5)
    (outputs,) = run_qonnx(found, {"x": x})
    np.testing.assert_allclose(outputs, run(qdq, {"x": x})["logits"], rtol=1e-6, atol=1e-6)


def test_a_bias_has_the_least_width_that_holds_its_codes() -> None:
    qdq, widths = integers(4, 8)
    found = emit_qonnx(qdq, widths)
    codes = {t.name: numpy_helper.to_array(t) for t in qdq.graph.initializer}["b2_quantized"]
    bits = int(parameters(found, quants(found)["b2"])["bitwidth"])
    assert codes.dtype == np.int32
    assert -(2 ** (bits - 1)) <= codes.min() <= codes.max() < 2 ** (bits - 1)
    assert codes.min() < -(2 ** (bits - 2)) or codes.max() >= 2 ** (bits - 2)


def test_a_limit_below_the_highest_code_is_a_clip_of_the_values() -> None:
    result = onnx_evoq.optimize(
        pooled(), random(32, 2, 4, 4, seed=1) * 3, bits=6, grid=Grid(activations=8),
        strategy="none", time_budget=None,
    )  # fmt: skip
    found = emit_qonnx(result.model, {"w1": 6, "w2": 6})
    held = {t.name: float(numpy_helper.to_array(t)) for t in found.graph.initializer if not t.dims}
    clips = [n for n in found.graph.node if n.op_type == "Clip"]
    (clip,) = (n for n in clips if [held[name] for name in n.input[1:]] == [0.0, 6.0])
    given = parameters(found, next(n for n in quants(found).values() if n.input[0] in clip.output))
    (grid,) = (each for each in result.activations if each.tensor == "b")
    assert int(given["bitwidth"]) == round(6 / grid.scale).bit_length()
    x = random(8, 2, 4, 4, seed=2) * 3
    (outputs,) = run_qonnx(found, {"x": x})
    np.testing.assert_allclose(outputs, run(result.model, {"x": x})["y"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("zero_point", "low", "high", "bits", "signed", "narrow"),
    [
        (np.int8(0), None, None, 8, 1, 0),
        (np.int8(0), -127, 127, 8, 1, 1),
        (np.int8(-128), None, None, 8, 0, 0),
        (np.uint8(128), 120, 135, 4, 1, 0),
        (np.uint8(0), 0, 15, 4, 0, 0),
    ],
)
def test_the_width_is_that_of_the_codes_less_the_zero_point(
    zero_point: Any, low: int | None, high: int | None, bits: int, signed: int, narrow: int
) -> None:
    weights = {"s": np.array(0.25, np.float32), "z": np.asarray(zero_point)}
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    if low is not None:
        weights |= {"low": np.asarray(low, zero_point.dtype)}
        weights |= {"high": np.asarray(high, zero_point.dtype)}
        nodes.append(node("Clip", ["q", "low", "high"], ["c"]))
    nodes.append(node("DequantizeLinear", [nodes[-1].output[0], "s", "z"], ["y"]))
    model = load(model_of(nodes, {"x": ["n"]}, {"y": ["n"]}, weights), quantized=True)
    found = emit_qonnx(model, {})
    given = parameters(found, quants(found)["y"])
    assert (given["bitwidth"], given["signed"], given["narrow"]) == (bits, signed, narrow)
    x = np.linspace(-70, 70, 999, dtype=np.float32)
    assert (run_qonnx(found, {"x": x})[0] == run(model, {"x": x})["y"]).all()


def test_codes_about_another_zero_point_are_codes_about_0() -> None:
    weights = {
        "k_quantized": np.array([[0, 5], [255, 7]], np.uint8),
        "s": np.array([0.5, 2.0], np.float32), "z": np.array([5, 7], np.uint8),
    }  # fmt: skip
    nodes = [
        node("DequantizeLinear", ["k_quantized", "s", "z"], ["k"], axis=-1),
        node("Add", ["x", "k"], ["y"]),
    ]
    model = load(model_of(nodes, {"x": [2, 2]}, {"y": [2, 2]}, weights), quantized=True)
    found = emit_qonnx(model, {})
    given = parameters(found, quants(found)["k"])
    assert int(given["bitwidth"]) == 9  # for the codes -5 and 250
    assert given["scale"].tolist() == [[0.5, 2.0]]
    (outputs,) = run_qonnx(found, {"x": np.zeros((2, 2), np.float32)})
    assert outputs.tolist() == [[-2.5, -4.0], [125.0, 0.0]]


def test_weights_of_other_operators_have_a_quant_too() -> None:
    model = load(recurrent())
    quantized = rounded(model, 4)
    qdq = emit_qdq(model, quantized, narrowest=8)
    found = emit_qonnx(qdq, dict.fromkeys(quantized, 4))
    assert set(quants(found)) == {"table", "w", "r", "last"}


def test_a_half_precision_weight_is_cast_behind_its_quant() -> None:
    model = load(conv_net(dtype="float16"))
    quantized = rounded(model, 6)
    found = emit_qonnx(emit_qdq(model, quantized, narrowest=8), dict.fromkeys(quantized, 6))
    casts = {n.output[0]: n for n in found.graph.node if n.op_type == "Cast"}
    assert set(casts) == set(quantized)
    assert casts["w1"].attribute[0].i == TensorProto.FLOAT16
    assert parameters(found, quants(found)[casts["w1"].input[0]])["bitwidth"] == 6


def test_a_layer_that_was_quantized_before_may_leave_its_zero_point_out() -> None:
    model = load(conv_net())
    qdq = emit_qdq(model, rounded(model, 8), narrowest=8)
    for each in [n for n in qdq.graph.node if n.op_type == "DequantizeLinear"]:
        each.input.pop()
    x = random(2, 3, 8, 8)
    (outputs,) = run_qonnx(emit_qonnx(qdq, {}), {"x": x})
    np.testing.assert_allclose(outputs, run(qdq, {"x": x})["logits"], rtol=1e-5, atol=1e-5)
