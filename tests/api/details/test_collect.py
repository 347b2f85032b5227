"""The details of a result, from a whole run."""

import json
import math
from typing import Any

import numpy as np
import pytest
from calls import optimize, search_bits
from graphs import conv_net, looped, mlp, random

from onnx_evoq.api.details import collect, seconds_of_details
from onnx_evoq.errors import ModelError
from onnx_evoq.report import Result
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Calibration

X = random(64, 3, 8, 8, seed=3)
FEED = {"x": X, "y": np.arange(64) % 5}
QUICK: dict[str, Any] = {"bits": 3, "population": 2, "generations": 1, "details": True}


@pytest.fixture(scope="module")
def result() -> Result:
    return optimize(conv_net(), FEED, **QUICK)


def details(result: Result) -> dict[str, Any]:
    assert result.details is not None
    return dict(result.details)


def test_details_are_plain_values(result: Result) -> None:
    values = result.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert set(values["details"]) == {
        "versions", "sha256", "samples", "heldout", "answers", "depth", "layers", "notes",
    }  # fmt: skip
    assert values["details"]["notes"] == []


def test_scores_of_single_samples_are_those_of_the_result(result: Result) -> None:
    models = details(result)["heldout"]["models"]
    assert set(models) == set(result.scores)
    for name, score in result.scores.items():
        assert models[name]["metric"]["value"] == pytest.approx(score.heldout, rel=1e-4, abs=1e-9)
        assert score.top1 is not None
        assert models[name]["top1"]["value"] == score.top1["heldout"]


def test_layers_have_all_that_is_known_of_them(result: Result) -> None:
    found = details(result)
    names = {layer.name for layer in result.layers}
    assert set(found["layers"]) == names
    assert {row["weight"] for row in found["depth"]} == names
    assert all(layer["sensitivity"] > 0 for layer in found["layers"].values())
    last = found["depth"][-1]
    assert last["evolved"] < last["nearest"]


def test_details_change_no_byte_and_are_none_unless_asked_for(result: Result) -> None:
    plain = optimize(conv_net(), FEED, **{**QUICK, "details": False})
    assert plain.details is None
    assert "details" not in plain.to_dict()
    assert plain.model == result.model


@pytest.mark.parametrize(
    "options",
    [{"activations": 8}, {"format": "qonnx"}, {"format": "float"}, {"granularity": "channel"},
     {"init": "nearest", "strategy": "neuroevolution"}],
)  # fmt: skip
def test_details_come_with_any_form_of_a_model(options: dict[str, Any]) -> None:
    found = details(optimize(conv_net(), X[:32], **{**QUICK, "strategy": "none", **options}))
    assert found["notes"] == []
    assert len(found["depth"]) == 3
    on = "integers" if "activations" in options else "floats"
    assert {layer["on"] for layer in found["layers"].values()} == {on}


def test_a_model_whose_layers_are_hidden_has_no_depth_of_them() -> None:
    found = details(optimize(looped(), random(16, 6), **QUICK))
    assert [row["weight"] for row in found["depth"]] == ["w2"]
    assert len(found["layers"]) == 2


def test_runs_that_fail_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise ModelError("no.")

    monkeypatch.setattr(collect, "errors_through_depth", fail)
    monkeypatch.setattr(collect, "measured", fail)
    found = details(optimize(mlp(), random(32, 4), **{**QUICK, "strategy": "none"}))
    assert found["notes"] == [
        "single samples are not shown, as a model could not be run again: no.",
        "errors by layer are not shown: no.",
    ]
    assert (found["depth"], found["answers"], found["heldout"]["models"]) == ([], None, {})


class _Few:
    samples = 100


def test_details_take_a_small_share_of_the_time() -> None:
    few: Any = _Few()
    calibration = Calibration(few, few, few, False, (), seconds=0.01)
    wide = seconds_of_details(calibration, 10, Deadline(None))
    assert 6 < wide < 30
    assert math.isclose(seconds_of_details(calibration, 10, Deadline(20)), 2, rel_tol=0.01)


def test_a_search_has_versions_and_hashes() -> None:
    options = {"time_budget": 0.001, "details": True}
    found = search_bits(mlp(), random(32, 4), **options)
    assert found.details is not None
    assert set(found.details) == {"versions", "sha256"}
    assert found.to_dict()["details"] == found.details
