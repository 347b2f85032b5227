"""The score of a model as plain values."""

import json

from graphs import mlp, random

import onnx_evoq
from onnx_evoq.report import Evaluation


def test_a_comparison_is_left_out_without_a_reference() -> None:
    values = Evaluation("m.onnx", "top1", 0.5, 8, None, None, None, ()).to_dict()
    assert set(values) == {"model", "metric", "value", "samples", "notes", "scored_at"}


def test_errors_of_outputs_survive_json() -> None:
    values = onnx_evoq.evaluate(mlp(), random(16, 4), reference=mlp()).to_dict()
    output = json.loads(json.dumps(values))["outputs"]["logits"]
    assert output["error"] == {"model": 0.0}
    assert output["channel_axis"] is None
