"""The arguments of ONNX Runtime's function mean the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, random, run
from onnx import checker, load, numpy_helper, save
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
)
from onnxruntime.quantization import quantize_static as their_quantize_static

from onnx_evoq import OptionError, Result, Strategy, quantize_static
from onnx_evoq.targets import TargetName

X = random(48, 3, 8, 8, seed=3)
ROUNDING = Strategy("none", init="nearest")


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The samples one by one."""

    def __init__(self) -> None:
        self._feeds = iter({"x": X[k : k + 1]} for k in range(len(X)))

    def get_next(self) -> dict[str, Any] | None:
        """The next sample; None after the last one."""
        return next(self._feeds, None)


def quantized(folder: Path, **options: Any) -> Result:
    options = {"strategy": ROUNDING, "time_budget": None, **options}
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


@pytest.mark.parametrize("target", ["vitis", "tidl", "esp-dl"])
def test_scales_are_powers_of_two_where_the_target_takes_no_others(
    tmp_path: Path, target: TargetName
) -> None:
    result = quantized(tmp_path, target=target)
    exponents = np.log2([each.scale for each in result.activations])
    assert (exponents == np.rint(exponents)).all()
    assert result.scale == ("float" if target == "tidl" else "pow2")
    assert {each.dtype for each in result.activations} == {"int8"}


def test_the_defaults_of_onnx_runtime_are_accepted(tmp_path: Path) -> None:
    quantized(
        tmp_path, quant_format=QuantFormat.QDQ, op_types_to_quantize=None, nodes_to_quantize=None,
        calibration_providers=None, use_external_data_format=False, calibration_cache_path=None,
        extra_options={"SmoothQuant": False, "EnableSubgraph": False, "CalibStridedMinMax": None},
    )  # fmt: skip
    plain = tmp_path / "plain.onnx"
    quantize_static(conv_net(), plain, Reader(), strategy=ROUNDING, time_budget=None)
    assert (tmp_path / "out.onnx").read_bytes() == plain.read_bytes()


def test_large_values_may_be_in_a_second_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.model.emission.saving._FEW_BYTES", 16)
    quantized(tmp_path, use_external_data_format=True)
    assert (tmp_path / "out.onnx.data").exists()
    checker.check_model(str(tmp_path / "out.onnx"))


def test_a_node_is_excluded_by_its_name_and_not_by_a_pattern(tmp_path: Path) -> None:
    model = conv_net()
    for old, new in (("stem", "s*"), ("branch", "s[a]")):
        next(node for node in model.graph.node if node.name == old).name = new
    result = quantize_static(
        model, tmp_path / "out.onnx", Reader(), nodes_to_exclude=["s*"], strategy=ROUNDING,
        time_budget=None,
    )  # fmt: skip
    assert {layer.name for layer in result.layers} == {"w2", "w3"}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (["stem", "norm"], "nodes_to_exclude 'norm' is no node with weights, and only these can"),
        (["w1"], "'w1' is no node .*: choose among stem, branch, head[.]$"),
        (["stem", "branch", "head"], "nodes_to_exclude names all nodes with weights"),
        ("stem", "nodes_to_exclude 'stem' is one name: give a list"),
    ],
)
def test_only_nodes_with_weights_can_be_excluded(tmp_path: Path, nodes: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        quantized(tmp_path, nodes_to_exclude=nodes)


def test_fewer_bits_than_a_reduced_range_has_are_taken(tmp_path: Path) -> None:
    result = quantized(tmp_path, bits=5, reduce_range=True, bits_for={"head": 7})
    assert [layer.bits for layer in result.layers] == [5, 5, 7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation_type": "QFLOAT8E4M3FN"}, "activation_type QFLOAT8E4M3FN is not for models"),
        ({"weight_type": QuantType.QUInt8}, "weight_type QUInt8 is not .* choose QInt8 or QInt4"),
        ({"extra_options": {"SmoothQuant": True}}, "SmoothQuant has no meaning here, since"),
        ({"extra_options": {"EnableSubgraph": True}}, "EnableSubgraph has no meaning here"),
        ({"extra_options": {"Unheard": False}}, "Unheard has no meaning here: leave it out"),
        ({"extra_options": {"WeightSymmetric": False}}, "weights are symmetric in any case"),
        ({"calibrate_method": CalibrationMethod.MinMax}, "error of the outputs decides how"),
        ({"calibration_cache_path": "ranges.json"}, "calibration_cache_path has no meaning"),
        ({"calibration_providers": ["CUDAExecutionProvider"]}, "samples run on the CPU"),
        ({"op_types_to_quantize": ["Conv"]}, "all operators become integers that have"),
        ({"nodes_to_quantize": ["stem"]}, "only nodes that stay float .* nodes_to_exclude"),
        ({"quant_format": QuantFormat.QOperator}, "quant_format QOperator .* choose QDQ"),
        ({"quant_format": "QDQ", "target": "qonnx"}, "quant_format QDQ does not go with target"),
        ({"data": X}, "data is an argument of optimize: give calibration_data_reader here"),
        ({"model": "x.onnx"}, "model is an argument of optimize: give model_input here"),
        ({"policy": {}}, "policy is an argument of optimize: give bits here"),
        ({"grid": None}, "grid is an argument of optimize: give per_channel"),
        ({"format": "float"}, "format is an argument of optimize: give quant_format here"),
        ({"time": 3}, "time has no meaning for quantize_static here"),
        ({"per_channel": True, "target": "vitis"}, "per_channel does not go with target vitis"),
        ({"bits": 8, "reduce_range": True}, "bits 8 does not go with reduce_range: choose 7 or"),
        ({"bits_for": {"h*": 8}, "reduce_range": True}, "bits_for 'h[*]' 8 does not go with red"),
        ({"max_drop": 1, "reduce_range": True}, "reduce_range does not go with max_drop"),
        ({"weight_type": "QInt4", "reduce_range": True}, "reduce_range does not go with weight"),
        ({"weight_type": "QInt4", "bits": 5}, "bits 5 does not go with weight_type QInt4"),
        ({"bits": 9}, "bits 9 is out of range"),
    ],
)
def test_what_has_no_meaning_here_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        quantized(tmp_path, **options)
    assert not list(tmp_path.iterdir())
