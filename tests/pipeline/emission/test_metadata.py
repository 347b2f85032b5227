import json

from graphs import mlp, rounded
from selecting_nets import detector

from onnx_evoq.model import load
from onnx_evoq.pipeline import metadata_of
from onnx_evoq.setup import DEFAULT_RESOURCES, Score, points_of


def test_metadata_say_how_a_model_was_made() -> None:
    found = metadata_of(rounded(load(mlp()), 4), 7, "mse", {"nearest": Score(0.5, 0.25)})
    assert found["onnx_evoq.seed"] == "7"
    assert json.loads(found["onnx_evoq.scores"]) == {
        "metric": "mse",
        "nearest": {"search": 0.5, "heldout": 0.25},
    }
    assert {each["bits"] for each in json.loads(found["onnx_evoq.weights"]).values()} == {4}
    assert "onnx_evoq.scored_at" not in found


def test_metadata_name_the_points() -> None:
    own = points_of(load(detector()), "m", DEFAULT_RESOURCES).own
    assert json.loads(metadata_of({}, 0, "mse", {}, own)["onnx_evoq.scored_at"]) == [
        "scores",
        "flat",
    ]
