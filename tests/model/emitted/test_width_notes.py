"""Notes at nodes with quantized weights, as viewers show them."""

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, random, recurrent, rounded, run

from onnx_evoq.model import (
    Model,
    emit_float,
    emit_qdq,
    emit_qonnx,
    fold_batch_norm,
    load,
    note_widths,
    serialize,
)
from onnx_evoq.quantize import FixedPoint, QuantizedWeight

MODEL = load(mlp())
GRID = FixedPoint(4, np.float32(0.03125))
CHANNELS = FixedPoint((2, 6, 4), np.array([0.5, 2**-20, 0.25], np.float32), axis=0)


def quantized(first: FixedPoint = GRID, second: FixedPoint = GRID) -> dict[str, QuantizedWeight]:
    shapes = {t.name: tuple(t.dims) for t in MODEL.graph.initializer}
    return {
        name: QuantizedWeight(np.zeros(shapes[name], np.int8), grid)
        for name, grid in (("first", first), ("second", second))
    }


def notes_of(model: Model) -> dict[str, str]:
    """The notes of the nodes that have one, by operator and output, without spaces at the end."""
    return {
        f"{node.op_type} {node.output[0]}": node.doc_string.rstrip()
        for node in model.graph.node
        if node.doc_string
    }


FORMS = {
    "float": emit_float,
    "qdq": lambda model, codes: emit_qdq(model, codes, narrowest=8),
    "qonnx": lambda model, codes: emit_qonnx(
        emit_qdq(model, codes, narrowest=8), dict.fromkeys(codes, 4)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_nodes_with_quantized_weights_say_width_and_step(form: str) -> None:
    given = quantized(second=CHANNELS)
    model = FORMS[form](MODEL, given)  # type: ignore[operator]
    note_widths(model, given)
    found = notes_of(model)
    assert list(found.values()) == [
        "onnx-evoq: 4 bits, step 0.03125",
        "onnx-evoq: 2-6 bits, steps 9.53674316e-07 to 0.5",
    ]
    assert not any(name.startswith(("DequantizeLinear", "Quant")) for name in found)
    onnx.checker.check_model(model)


def test_a_note_stands_behind_what_is_said_there_and_in_place_of_an_older_note() -> None:
    model = emit_float(MODEL, quantized())
    model.graph.node[0].doc_string = "mine\nonnx-evoq: 8 bits, step 1"
    note_widths(model, quantized())
    assert model.graph.node[0].doc_string.rstrip() == "mine\nonnx-evoq: 4 bits, step 0.03125"
    once = serialize(model)
    note_widths(model, quantized())
    assert serialize(model) == once


def test_a_node_with_several_weights_names_them() -> None:
    model = load(recurrent())
    given = rounded(model, 4)
    emitted = emit_qdq(model, given, narrowest=8)
    note_widths(emitted, given)
    several = [note for note in notes_of(emitted).values() if ";" in note]
    assert several
    assert all(part.strip().startswith("onnx-evoq: ") is (k == 0)
               for note in several for k, part in enumerate(note.split(";")))  # fmt: skip
    assert any(f"{name}: 4 bits, step" in several[0] for name in given)


def test_a_weight_of_16_bits_is_noted_where_it_is_read() -> None:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    given = rounded(model, 4)
    emitted = emit_qdq(model, given, narrowest=8)
    note_widths(emitted, given)
    assert {name.split()[0] for name in notes_of(emitted)} == {"Conv", "Gemm"}


def test_notes_are_as_long_with_any_steps() -> None:
    lengths = set()
    for step in (1.0, 0.1, 2.0**-13, 2.0**-30):
        model = emit_float(MODEL, quantized())
        each = FixedPoint(4, np.float32(step))
        channels = FixedPoint((2, 6, 4), np.full(3, step, np.float32), axis=0)
        note_widths(model, quantized(each, channels))
        lengths.add(tuple(len(node.doc_string) for node in model.graph.node))
    assert len(lengths) == 1


def test_notes_change_no_output() -> None:
    given = rounded(MODEL, 4)
    emitted = emit_qdq(MODEL, given, narrowest=8)
    before = run(emitted, {"x": random(5, 4)})
    note_widths(emitted, given)
    after = run(emitted, {"x": random(5, 4)})
    np.testing.assert_array_equal(before["logits"], after["logits"])
