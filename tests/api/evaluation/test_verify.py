"""Whether a model is what its record says, in each form."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from calls import optimize, search_bits
from graphs import conv_net, looped, mlp, random, recurrent, split_net
from onnx import ModelProto, numpy_helper
from searches import shorten

from onnx_evoq import ModelError, OptionError, Result, Verification, verify
from onnx_evoq.model import coded_weights
from onnx_evoq.model.graph import copy_of

X = random(32, 3, 8, 8)
QUICK = {"strategy": "none"}
FORMS: dict[str, dict[str, Any]] = {
    "qdq": {"bits": 4},
    "8 bits": {"bits": 8},
    "float": {"bits": 4, "format": "float"},
    "qonnx": {"bits": 5, "format": "qonnx"},
    "qonnx by channel": {"bits": 5, "format": "qonnx", "granularity": "channel"},
    "by channel": {"bits": 3, "granularity": "channel"},
    "float by channel": {"bits": 3, "granularity": "channel", "format": "float"},
    "any step": {"bits": 4, "granularity": "channel", "scale": "float"},
    "any step as floats": {"granularity": "channel", "scale": "float", "format": "float"},
    "any one step as floats": {"bits": 6, "scale": "float", "format": "float"},
    "integers": {"bits": 6, "activations": 8},
    "integers by channel": {"bits": 4, "activations": 8, "granularity": "channel"},
    "integers for a converter": {"activations": 8, "target": "esp-dl", "format": "float"},
    "qonnx of integers": {"bits": 4, "activations": 6, "format": "qonnx"},
    "narrow": {"bits": 8, "narrow_range": True},
    "int8": {"bits": 3, "storage": "int8"},
    "within a drop": {"bits": 2, "max_drop": 50},
}  # fmt: skip


def made(model: ModelProto | None = None, data: Any = X, **options: Any) -> Result:
    """A result whose model may be changed."""
    if model is not None or data is not X:
        return optimize(model or conv_net(), data, **{**QUICK, "bits": 4, **options})
    found = usual(tuple(options.items()))
    return replace(found, model=copy_of(found.model))


@functools.cache
def usual(options: tuple[tuple[str, Any], ...]) -> Result:
    """The result of a small model and samples; it is not to be changed."""
    return optimize(conv_net(), X, **{**QUICK, "bits": 4, **dict(options)})


@pytest.mark.parametrize("form", FORMS)
def test_what_was_written_is_what_its_record_says(form: str) -> None:
    result = made(**FORMS[form])
    found = verify(result.model, conv_net(), X)
    assert found.faults == ()
    assert (found.ok, found.unchanged, found.is_reference) == (True, True, True)
    assert found.weights == len(result.layers)
    assert found.options["format"] == FORMS[form].get("format", "qdq")


@pytest.mark.parametrize(
    ("model", "data"),
    [(conv_net(dtype="float16"), random(16, 3, 8, 8, dtype="float16")), (recurrent(), None)],
)
@pytest.mark.parametrize("form", ["qdq", "float"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("scale", ["pow2", "float"])
def test_other_types_and_operators_too(
    model: ModelProto, data: Any, form: Any, granularity: str, scale: str
) -> None:
    result = made(model, data, format=form, granularity=granularity, scale=scale)
    assert verify(result.model, model, data).faults == ()


@pytest.mark.parametrize("model", [split_net(), looped(), mlp()])
def test_other_graphs_too(model: ModelProto) -> None:
    result = made(model, None, bits=3)
    assert verify(result.model, model).faults == ()


def test_widths_by_channel_and_split_channels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    found = search_bits(mlp(), random(32, 4), per_channel=True)
    point = min(found.front, key=lambda point: isinstance(next(iter(point.policy.bits)), int))
    for each in (point, found.front[0], found.front[-1]):
        result = optimize(mlp(), random(32, 4), policy=each, **QUICK)
        assert verify(result.model, mlp(), random(32, 4)).faults == ()


@pytest.mark.parametrize("external_data", [False, True])
def test_a_file_is_what_was_saved(tmp_path: Path, external_data: bool) -> None:
    reference, file = tmp_path / "net.onnx", tmp_path / "net.w8.onnx"
    onnx.save(wide(), reference)
    result = made(reference, random(16, 64), bits=8)
    result.save(file, external_data=external_data)
    assert (tmp_path / "net.w8.onnx.data").exists() == external_data
    found = verify(file, reference, random(16, 64))
    assert found.faults == ()
    assert found.source == str(file)
    assert verify(result.model, wide()).ok  # in memory, and without data


def wide() -> ModelProto:
    """A product with a weight that is large enough for a data file."""
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "wide",
        [onnx.helper.make_tensor_value_info("x", 1, ["n", 64])],
        [onnx.helper.make_tensor_value_info("y", 1, ["n", 32])],
        [numpy_helper.from_array(random(64, 32, seed=3), "w")],
    )  # fmt: skip
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )


# Faults


def changed(result: Result, name: str, value: float) -> ModelProto:
    """The model with another first value of an initializer."""
    model = copy_of(result.model)
    tensor = next(each for each in model.graph.initializer if each.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def faults_of(model: ModelProto, *given: Any, **options: Any) -> tuple[str, ...]:
    found = verify(model, *given, **options)
    assert found.ok == (not found.faults)
    return found.faults


HASH = "the model in memory: its graph or its values were changed after it was written."


def test_a_changed_value_is_a_fault() -> None:
    result = made(bits=8)
    bias = next(t.name for t in result.model.graph.initializer if t.name.endswith("bias"))
    found = verify(changed(result, bias, 7.0))
    assert (found.faults, found.unchanged, found.off_grid) == ((HASH,), False, ())


def test_what_was_changed_is_not_run() -> None:
    result = made(bits=8)
    bias = next(t.name for t in result.model.graph.initializer if t.name.startswith("b"))
    found = verify(changed(result, bias, 7.0), conv_net(), X)
    assert (found.is_reference, found.value) == (True, None)
    assert found.notes == ("outputs were not compared, since the file was changed.",)


def test_weights_of_one_channel_have_one_step() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "one",
        [onnx.helper.make_tensor_value_info("x", 1, ["n", 8])],
        [onnx.helper.make_tensor_value_info("y", 1, ["n", 1])],
        [numpy_helper.from_array(random(8, 1, seed=3), "w")],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    for form in ("qdq", "float", "qonnx"):
        for scale in ("pow2", "float"):
            given = {"granularity": "channel", "format": form, "scale": scale}
            assert verify(made(model, random(16, 8), **given).model).faults == ()


def test_a_changed_node_is_a_fault() -> None:
    model = made().model
    model.graph.node[0].name = "renamed"
    assert faults_of(model) == (HASH,)


def test_codes_beyond_their_width_are_a_fault() -> None:
    result = made(bits=6)
    (first, *_) = coded_weights(result.model, {layer.name for layer in result.layers})
    codes = next(node.input[0] for node in result.model.graph.node if first.tensor in node.output)
    size = first.values.size
    found = verify(changed(result, codes, 100))
    assert found.off_grid == (first.name,)
    assert found.faults == (
        HASH, f"weight {first.name!r}: 1 of {size} codes pass 6 bits."
    )  # fmt: skip


def test_a_float_between_two_codes_is_a_fault() -> None:
    result = made(bits=4, format="float")
    name = result.layers[0].name
    step = 2.0 ** -result.layers[0].frac_bits  # type: ignore[operator]
    assert "values are no whole number of steps." in faults_of(changed(result, name, 0.5 * step))[1]
    assert "codes pass 4 bits." in faults_of(changed(result, name, 8 * step))[1]
    assert faults_of(changed(result, name, float("nan")))[1].startswith(f"weight {name!r}: 1 of")


def test_another_step_or_zero_point_is_a_fault() -> None:
    result = made(bits=8)
    node = next(n for n in result.model.graph.node if n.op_type == "DequantizeLinear")
    _, scale, zero_point = node.input
    assert "its step is not the one that was recorded." in faults_of(changed(result, scale, 3))[1]
    assert "its zero point is not 0." in faults_of(changed(result, zero_point, 1))[1]


def test_a_weight_that_is_gone_is_a_fault() -> None:
    model = made(format="float").model
    name = model.graph.initializer[0].name
    names = [t.name for t in model.graph.initializer]
    weight = next(each for each in names if each.endswith("weight") or each == name)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name + "_renamed" if tensor.name == weight else tensor.name
    assert any("is not in the file." in fault for fault in faults_of(model))


def test_another_float_model_is_a_fault() -> None:
    other = conv_net()
    other.producer_name = "someone"
    found = verify(made().model, other, X)
    assert found.faults == (
        "the model in memory: is not the float model that the model in memory was made from.",
    )
    assert (found.is_reference, found.value) == (False, None)


def test_an_error_far_from_the_recorded_one_is_a_fault() -> None:
    result = made(bits=4)
    assert faults_of(result.model, conv_net(), X) == ()
    (fault,) = faults_of(result.model, conv_net(), 30 * X)
    assert fault.startswith("the model in memory: its mse is")
    assert fault.endswith("was recorded.")
    assert faults_of(result.model, conv_net(), 30 * X, tolerance=1e9) == ()


@pytest.mark.parametrize("metric", ["agreement", "sqnr", "cosine"])
def test_a_metric_that_rises_is_compared_too(metric: str) -> None:
    result = made(bits=2, metric=metric)
    assert faults_of(result.model, conv_net(), X) == ()
    found = verify(result.model, conv_net(), X)
    assert found.recorded is not None
    for entry in result.model.metadata_props:
        if entry.key == "onnx_evoq.scores":
            better = {"agreement": "2.0", "cosine": "2.0", "sqnr": "99.0"}[metric]
            entry.value = (
                f'{{"metric": "{metric}", "evolved": {{"search": {better}, "heldout": {better}}}}}'
            )
    assert len(faults_of(result.model, conv_net(), X)) == 1


def test_errors_of_other_samples_are_not_compared() -> None:
    result = made()
    found = verify(result.model, conv_net())  # without the data that it was made with
    assert (found.faults, found.recorded) == ((), None)
    assert found.value is not None
    assert found.notes == (
        "the outputs were compared on synthetic inputs, and the recorded error is of given data: "
        "with --data, the error is held against it.",
    )
    synthetic = made(data=None)
    found = verify(synthetic.model, conv_net())
    assert found.recorded is not None
    assert found.notes == ()
    assert verify(synthetic.model, conv_net(), X).notes[0] == (
        "the outputs were compared on given data, and the recorded error is of synthetic inputs."
    )


class Rising:
    """A metric of a user."""

    higher_is_better = True
    __name__ = "rising"

    def __call__(self, outputs: Any, labels: Any) -> float:
        return float(-np.abs(next(iter(outputs.values()))).mean())


def test_the_metric_of_a_user_is_not_computed_again() -> None:
    result = made(metric=Rising())
    found = verify(result.model, conv_net(), X)
    assert (found.faults, found.recorded) == ((), None)
    assert found.notes[0].startswith("the recorded metric is a function of the user")


# What is no record


def test_a_model_of_others_holds_no_record() -> None:
    with pytest.raises(ModelError, match=r"^the model in memory: holds no record of onnx-evoq"):
        verify(conv_net())


def without(model: ModelProto, key: str, value: str | None = None) -> ModelProto:
    """The model without an entry of its metadata, or with another value of it."""
    copy = copy_of(model)
    entries = {entry.key: entry.value for entry in copy.metadata_props}
    del entries[key]
    if value is not None:
        entries[key] = value
    onnx.helper.set_model_props(copy, entries)
    return copy


def test_a_record_of_an_older_version_or_a_damaged_one_is_an_error() -> None:
    model = made().model
    with pytest.raises(ModelError, match="record holds no hash"):
        verify(without(model, "onnx_evoq.hash"))
    for key, value in [("source", None), ("weights", "{"), ("weights", '{"w": 3}'), ("seed", "x")]:
        with pytest.raises(ModelError, match="its record is damaged"):
            verify(without(model, f"onnx_evoq.{key}", value))


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf"), "much"])
def test_a_tolerance_is_a_share(tolerance: Any) -> None:
    with pytest.raises(OptionError, match="tolerance"):
        verify(made().model, tolerance=tolerance)


def test_a_verification_has_plain_values() -> None:
    found = verify(made().model)
    values = found.to_dict()
    assert isinstance(found, Verification)
    assert (values["ok"], values["model"]) == (True, "the model in memory")
    assert values["options"]["bits"] == 4
    assert values["value"] is None
