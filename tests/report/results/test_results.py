"""The values that the public functions return, and what JSON makes of them."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from calls import optimize
from graphs import conv_net, mlp, random

import onnx_evoq
from onnx_evoq import EvoqError
from onnx_evoq.report import Result
from onnx_evoq.setup import Score

TINY = {"bits": 4, "population": 2, "generations": 1}


@pytest.fixture(scope="module")
def result() -> Result:
    """A small model, quantized with data of its own."""
    return optimize(mlp(), random(16, 4), **TINY)


def test_a_score_without_labels_has_no_top1() -> None:
    assert Score(0.5, 0.25).to_dict() == {"search": 0.5, "heldout": 0.25}


def test_a_score_with_labels_has_top1_of_both_sets() -> None:
    top1 = {"search": 1.0, "heldout": 0.5}
    assert Score(0.5, 0.25, top1).to_dict() == {"search": 0.5, "heldout": 0.25, "top1": top1}


def test_a_result_survives_json(result: Result) -> None:
    values = result.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, int), ({"granularity": "channel"}, list), ({"scale": "float"}, type(None))],
)
def test_frac_bits_survive_json_on_every_grid(options: dict[str, str], kind: type) -> None:
    result = optimize(mlp(), random(16, 4), strategy="none", **TINY, **options)
    layers = json.loads(json.dumps(result.to_dict()))["layers"]
    assert [type(layer["frac_bits"]) for layer in layers] == [kind, kind]


def test_a_result_names_the_file_that_was_written(result: Result) -> None:
    assert result.to_dict(Path("out.onnx"))["output"] == "out.onnx"
    assert result.to_dict()["output"] is None


def test_a_result_counts_its_weights(result: Result) -> None:
    assert result.to_dict()["weights"] == len(result.layers) == 2


def test_a_result_is_frozen(result: Result) -> None:
    with pytest.raises(FrozenInstanceError):
        result.bits = 8  # type: ignore[misc]


def test_a_result_saves_its_model(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "out.onnx")
    assert onnx.load(tmp_path / "out.onnx") == result.model
    assert (tmp_path / "out.onnx").stat().st_size == result.bytes_after


def test_a_result_that_cannot_be_saved_leaves_nothing(result: Result, tmp_path: Path) -> None:
    with pytest.raises(EvoqError, match="is a folder"):
        result.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_metadata_of_the_model_repeat_the_result(result: Result) -> None:
    metadata = {entry.key: entry.value for entry in result.model.metadata_props}
    weights = json.loads(metadata["onnx_evoq.weights"])
    assert weights == {
        layer.name: {"bits": layer.bits, "frac_bits": layer.frac_bits} for layer in result.layers
    }
    assert metadata["onnx_evoq.seed"] == "0"


def test_a_ranking_survives_json() -> None:
    values = onnx_evoq.rank_sensitivity(mlp(), random(16, 4)).to_dict()
    read = json.loads(json.dumps(values))
    assert read["model"] == "the model in memory"
    assert [row["name"] for row in read["rows"]] == [row["name"] for row in values["rows"]]


def test_an_evaluation_without_a_reference_has_no_comparison() -> None:
    data = {"x": random(16, 4), "y": np.zeros(16, np.int64)}
    values = onnx_evoq.evaluate(mlp(), data).to_dict()
    assert set(values) == {"model", "metric", "value", "samples", "notes", "scored_at"}
    assert json.loads(json.dumps(values))["metric"] == "top1"


def test_an_inspection_survives_json() -> None:
    read = json.loads(json.dumps(onnx_evoq.inspect(conv_net()).to_dict()))
    assert read["folded"] == ["norm"]
    assert read["weights"][0]["shape"] == [6, 3, 3, 3]
    assert read["weights"][0]["bytes"]["4"] == 81  # 162 codes, two to a byte


def test_a_result_with_a_width_per_channel_survives_json(result: Result) -> None:
    mixed = replace(result, layers=(replace(result.layers[0], bits=(2, 6)), result.layers[1]))
    layers = json.loads(json.dumps(mixed.to_dict()))["layers"]
    assert [layer["bits"] for layer in layers] == [[2, 6], 4]


def test_a_result_tells_what_its_numbers_take_packed(result: Result) -> None:
    # 24 and 18 codes of 4 bits, two steps and 9 biases
    assert result.packed_bytes == result.to_dict()["packed_bytes"] == 12 + 9 + 2 + 36
