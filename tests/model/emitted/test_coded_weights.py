"""The quantized weights of an emitted model, in each of its forms."""

import numpy as np
import pytest
from graphs import conv_net, mlp, rounded
from onnx import ModelProto

from onnx_evoq.model import (
    coded_weights,
    emit_float,
    emit_qdq,
    emit_qonnx,
    fold_batch_norm,
    load,
)
from onnx_evoq.model.emitted import CodedWeight

MODEL = load(mlp())
NAMES = ["first", "second"]


def by_name(model: ModelProto) -> dict[str, CodedWeight]:
    found = coded_weights(model, NAMES)
    assert [weight.name for weight in found] == NAMES
    return {weight.name: weight for weight in found}


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("narrowest", [4, 8])
def test_codes_are_found_with_their_step(channel: bool, narrowest: int) -> None:
    quantized = rounded(MODEL, 4, channel=channel)
    found = by_name(emit_qdq(MODEL, quantized, narrowest=narrowest))
    for name, (codes, grid) in quantized.items():
        weight = found[name]
        assert (weight.are_codes, weight.axis, weight.tensor) == (True, grid.axis, name)
        np.testing.assert_array_equal(weight.values.astype(np.int8), codes)
        np.testing.assert_array_equal(weight.step, grid.step)
        assert not weight.zero_points


def test_floats_are_found_without_a_step() -> None:
    quantized = rounded(MODEL, 4)
    found = by_name(emit_float(MODEL, quantized))
    for name, weight in found.items():
        assert (weight.are_codes, weight.step, weight.axis) == (False, None, None)
        np.testing.assert_array_equal(weight.values, quantized[name].values)


@pytest.mark.parametrize("channel", [False, True])
def test_floats_of_qonnx_are_found_with_their_step(channel: bool) -> None:
    quantized = rounded(MODEL, 5, channel=channel)
    qdq = emit_qdq(MODEL, quantized, narrowest=8)
    found = by_name(emit_qonnx(qdq, dict.fromkeys(NAMES, 5)))
    for name, (_, grid) in quantized.items():
        assert (found[name].are_codes, found[name].axis) == (False, grid.axis)
        np.testing.assert_array_equal(found[name].values, quantized[name].values)
        np.testing.assert_array_equal(found[name].step, grid.step)


def test_a_weight_of_16_bits_is_found() -> None:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    quantized = rounded(model, 4)
    found = coded_weights(emit_qdq(model, quantized, narrowest=8), list(quantized))
    assert {weight.name for weight in found} == set(quantized)
    assert {weight.tensor for weight in found} == {f"{name}_float32" for name in quantized}


def test_other_nodes_with_codes_are_left_out() -> None:
    emitted = emit_qdq(MODEL, rounded(MODEL, 4), narrowest=8)
    assert [weight.name for weight in coded_weights(emitted, ["second"])] == ["second"]
    assert coded_weights(emitted, ["third"]) == []
