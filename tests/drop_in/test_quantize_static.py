"""The arguments of ONNX Runtime's function mean the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, random, run
from onnx import load, numpy_helper, save
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization import quantize_static as their_quantize_static

from onnx_evoq import OptionError, Result, quantize_static

X = random(48, 3, 8, 8, seed=3)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The samples one by one."""

    def __init__(self) -> None:
        self._feeds = iter({"x": X[k : k + 1]} for k in range(len(X)))

    def get_next(self) -> dict[str, Any] | None:
        """The next sample; None after the last one."""
        return next(self._feeds, None)


def quantized(folder: Path, **options: Any) -> Result:
    options = {"strategy": "none", "time_budget": None, **options}
    return quantize_static(conv_net(), folder / "out.onnx", Reader(), **options)


def test_the_call_of_onnx_runtime_gives_a_better_model(tmp_path: Path) -> None:
    save(conv_net(), tmp_path / "model.onnx")
    theirs, ours = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    same: dict[str, Any] = {
        "per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8,
    }  # fmt: skip
    their_quantize_static(tmp_path / "model.onnx", theirs, Reader(), **same)
    quantize_static(tmp_path / "model.onnx", ours, Reader(), strategy="none", **same)
    x = random(64, 3, 8, 8, seed=8)
    floats, *found = (
        run(each, {"x": x})["logits"] for each in (conv_net(), load(theirs), load(ours))
    )
    errors = [float(np.square(each - floats).mean()) for each in found]
    assert errors[1] < errors[0]


def test_the_arguments_set_the_grid(tmp_path: Path) -> None:
    result = quantized(
        tmp_path, per_channel=True, reduce_range=True, activation_type=QuantType.QInt8,
        nodes_to_exclude=["branch"],
    )  # fmt: skip
    assert (result.granularity, result.scale, result.target) == (
        "channel", "float", "onnxruntime-arm",
    )  # fmt: skip
    assert {layer.bits for layer in result.layers} == {7}
    assert len(result.layers) == 2, "one node is excluded"
    assert {each.dtype for each in result.activations} == {"int8"}


def test_narrow_weights_are_held_in_8_bits(tmp_path: Path) -> None:
    result = quantized(tmp_path, weight_type=QuantType.QInt4)
    held = {t.name: numpy_helper.to_array(t) for t in result.model.graph.initializer}
    assert held["w2_quantized"].dtype == np.int8
    assert held["w2_quantized"].min() >= -8


def test_symmetric_activations_have_no_zero_point(tmp_path: Path) -> None:
    result = quantized(
        tmp_path, activation_type="QInt8",
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )  # fmt: skip
    assert {each.zero_point for each in result.activations} == {0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation_type": "QFLOAT8E4M3FN"}, "activation_type QFLOAT8E4M3FN is not for models"),
        ({"weight_type": QuantType.QUInt8}, "weight_type QUInt8 is not .* choose QInt8 or QInt4"),
        ({"extra_options": {"SmoothQuant": True}}, "SmoothQuant says how ranges are found"),
        ({"extra_options": {"EnableSubgraph": True}}, "EnableSubgraph has no meaning here"),
        ({"extra_options": {"WeightSymmetric": False}}, "WeightSymmetric has no meaning here"),
        ({"extra_options": {"ActivationSymmetric": True}}, "choose QInt8"),
        ({"calibrate_method": "Entropy"}, "calibrate_method has no meaning"),
        ({"format": "float"}, "format has no meaning"),
    ],
)
def test_what_has_no_meaning_here_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        quantized(tmp_path, **options)
    assert not list(tmp_path.iterdir())
