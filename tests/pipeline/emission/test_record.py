"""The record of how a model was made, and what contradicts it."""

from typing import Any

import numpy as np
import pytest
from graphs import mlp, rounded
from onnx import ModelProto, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model import Quantized, emit_float, emit_qdq, load
from onnx_evoq.pipeline import changed, metadata_of, off_their_grids, record_of, seal
from onnx_evoq.quantize import FixedPoint, QuantizedWeight
from onnx_evoq.setup import Score

MODEL = load(mlp())
SCORES = {"nearest": Score(0.5, 0.25), "evolved": Score(0.1, 0.2)}


def sealed(quantized: Quantized, *, as_floats: bool = False, **options: Any) -> ModelProto:
    model = emit_float(MODEL, quantized) if as_floats else emit_qdq(MODEL, quantized, narrowest=8)
    seal(model, metadata_of(quantized, 3, "mse", SCORES, None, options, "5" * 64))
    return model


def test_a_record_is_what_was_written() -> None:
    model = sealed(rounded(MODEL, 4, channel=True), bits=4)
    record = record_of(model, "net.onnx")
    assert (record.seed, record.options, record.source) == (3, {"bits": 4}, "5" * 64)
    assert record.scores["evolved"] == {"search": 0.1, "heldout": 0.2}
    assert {name: weight.axis for name, weight in record.weights.items()} == {
        "first": 1, "second": 0
    }  # fmt: skip
    assert not changed(model, record)
    assert off_their_grids(model, record) == {}


def test_a_change_is_found() -> None:
    model = sealed(rounded(MODEL, 4))
    record = record_of(model, "net.onnx")
    model.graph.initializer[0].name += "2"
    assert changed(model, record)


def test_no_record_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"^net.onnx: holds no record of onnx-evoq: give a model"):
        record_of(MODEL, "net.onnx")


def with_value(model: ModelProto, name: str, index: int, value: float) -> ModelProto:
    tensor = next(each for each in model.graph.initializer if each.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[index] = value
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def fault_of(model: ModelProto) -> str:
    (fault,) = off_their_grids(model, record_of(model, "net.onnx")).values()
    return fault


@pytest.mark.parametrize(("code", "ok"), [(-8, True), (7, True), (-9, False), (8, False)])
@pytest.mark.parametrize("channel", [False, True])
def test_codes_end_where_their_width_does(code: int, ok: bool, channel: bool) -> None:
    model = with_value(sealed(rounded(MODEL, 4, channel=channel)), "first_quantized", 1, code)
    faults = off_their_grids(model, record_of(model, "net.onnx"))
    assert (faults == {}) == ok
    if not ok:
        assert faults == {"first": "weight 'first': 1 of 24 codes pass 4 bits."}


def by_channel(axis: int) -> dict[str, QuantizedWeight]:
    """Widths of 2 and 5 bits in turn, with steps of .5 and .125."""
    found = rounded(MODEL, 4)
    shape = found["first"].codes.shape
    count = shape[axis]
    widths = tuple(2 + 3 * (k % 2) for k in range(count))
    steps = np.array([0.5 / 4 ** (k % 2) for k in range(count)], np.float32)
    grid = FixedPoint(widths, steps, axis)
    return {**found, "first": QuantizedWeight(np.zeros(shape, np.int8), grid)}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("as_floats", [False, True])
def test_each_channel_has_its_own_width_and_step(axis: int, as_floats: bool) -> None:
    given = by_channel(axis)
    shape = given["first"].codes.shape
    name = "first" if as_floats else "first_quantized"
    for channel, codes in (
        (0, {1: True, 2: False, -2: True, -3: False}),
        (1, {15: True, 16: False}),
    ):
        place = np.zeros(2, int)
        place[axis] = channel
        index = int(np.ravel_multi_index(tuple(place), shape))
        unit = float(given["first"].grid.step[channel]) if as_floats else 1.0
        for code, ok in codes.items():
            model = with_value(sealed(given, as_floats=as_floats), name, index, code * unit)
            faults = off_their_grids(model, record_of(model, "net.onnx"))
            assert (faults == {}) == ok, (channel, code)
            if not ok:
                assert faults["first"].endswith("1 of 24 codes pass their channel's bits.")


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_floats_may_be_rounded_to_their_type(scale: str, dtype: str) -> None:
    step = np.float32(0.0125 if scale == "float" else 0.015625)
    codes = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    given = {"w": QuantizedWeight(codes, FixedPoint(4, step))}
    values = (codes * np.float64(step)).astype(dtype)
    model = ModelProto()
    model.graph.initializer.append(numpy_helper.from_array(values, "w"))
    seal(model, metadata_of(given, 0, "mse", SCORES))
    assert off_their_grids(model, record_of(model, "net.onnx")) == {}
    moved = values.copy()
    moved[0, 0] *= 1 + 20 * np.finfo(dtype).eps
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(moved, "w"))
    assert "1 of 16 values are no whole number of steps" in fault_of(model)


def test_steps_are_the_recorded_ones_unless_activations_ask_for_larger_ones() -> None:
    given = rounded(MODEL, 4)
    assert "its step is not the one" in fault_of(
        with_value(sealed(given, bits=4), "first_scale", 0, 4.0)
    )
    coarser = with_value(sealed(given, activations=8), "first_scale", 0, 4.0)
    assert off_their_grids(coarser, record_of(coarser, "net.onnx")) == {}


def test_a_zero_point_is_0() -> None:
    model = with_value(sealed(rounded(MODEL, 4)), "first_zero_point", 0, 1)
    assert fault_of(model) == "weight 'first': its zero point is not 0."


def test_a_weight_that_is_gone_is_named() -> None:
    model = sealed(rounded(MODEL, 4), as_floats=True)
    record = record_of(model, "net.onnx")
    next(t for t in model.graph.initializer if t.name == "second").name = "third"
    assert off_their_grids(model, record) == {"second": "weight 'second': is not in the file."}


def test_a_weight_of_another_shape_is_a_fault() -> None:
    model = sealed(rounded(MODEL, 4, channel=True))
    record = record_of(model, "net.onnx")
    codes = next(t for t in model.graph.initializer if t.name == "first_quantized")
    codes.dims[:] = [8, 3]
    assert off_their_grids(model, record) == {
        "first": "weight 'first': its shape (8, 3) has not 6 channels."
    }
    codes.dims[:] = [24]
    assert "its shape (24,) has not 6 channels" in off_their_grids(model, record)["first"]


def test_a_weight_without_a_step_in_the_file_is_named() -> None:
    model = sealed(rounded(MODEL, 4))
    record = record_of(model, "net.onnx")
    scale = next(t for t in model.graph.initializer if t.name == "first_scale")
    model.graph.initializer.remove(scale)
    assert off_their_grids(model, record) == {"first": "weight 'first': is not in the file."}
