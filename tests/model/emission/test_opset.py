"""Operator sets are raised for integer types, and lowered for runtimes that lack the newest."""

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run
from onnx import ModelProto, version_converter

from onnx_evoq.errors import ModelError
from onnx_evoq.model import as_network, dequantizer, load, lowered, opset_of
from onnx_evoq.model.emission import at_opset
from onnx_evoq.model.emission import opset as module


def test_a_model_is_raised_but_never_lowered_to_what_its_types_need() -> None:
    network = as_network(load(conv_net(opset=17)))
    assert [opset_of(at_opset(network, opset)) for opset in (13, 21)] == [17, 21]


def test_a_model_that_cannot_be_raised_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(model: ModelProto, opset: int) -> ModelProto:
        raise RuntimeError("no adapter")

    monkeypatch.setattr(version_converter, "convert_version", convert)
    with pytest.raises(ModelError, match="cannot be converted from operator set 17 to 21"):
        at_opset(as_network(load(mlp(opset=17))), 21)


@pytest.mark.parametrize("opset", [10, 13, 19, 21])
def test_the_dequantizer_has_the_operator_set(opset: int) -> None:
    assert run(dequantizer(opset), {})["y"].tolist() == [1.0]


@pytest.mark.parametrize("converts", [True, False])
def test_a_lowered_model_has_the_same_outputs(
    converts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not converts:  # then the number alone changes
        monkeypatch.setattr(module.version_converter, "convert_version", None)
    model = load(conv_net(opset=17))
    changed = lowered(model, 14)
    assert changed is not None
    assert opset_of(changed) == 14
    x = random(2, 3, 8, 8)
    np.testing.assert_array_equal(run(changed, {"x": x})["logits"], run(model, {"x": x})["logits"])


def squeezed(axes: bool) -> ModelProto:
    nodes = [node("ReduceMean", ["x", "axes"] if axes else ["x"], ["y"], keepdims=0)]
    return model_of(nodes, {"x": ["n", 4]}, {"y": []}, {"axes": np.array([0, 1])}, opset=18)


@pytest.mark.parametrize(
    "model",
    [
        squeezed(axes=True),  # axes are an input from 18 on
        model_of(
            [node("Gelu", ["x"], ["y"])], {"x": ["n"]}, {"y": ["n"]}, {"w": random(1)},
            opset=20, ir_version=9,
        ),
    ],
    ids=["an input that the older one lacks", "an operator that the older one lacks"],
)  # fmt: skip
def test_a_model_that_uses_what_is_new_is_not_lowered(
    model: ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.version_converter, "convert_version", None)
    assert lowered(model, 17) is None


def test_what_did_not_change_is_renumbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.version_converter, "convert_version", None)
    changed = lowered(squeezed(axes=False), 17)
    assert changed is not None
    assert opset_of(changed) == 17
