"""Whole runs on models whose outputs are selected: rows, maps, sequences, strings, labels."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_command
from graphs import model_of, node, random, run
from onnx import ModelProto, TensorProto, helper
from selecting_nets import classifier, detector, two_stages, with_outputs_of

import onnx_evoq

PICTURES = random(24, 3, 8, 8)
ROWS = random(48, 4)


def stated(model: ModelProto) -> list[bytes]:
    """The inputs and outputs of a model, as it states them."""
    values = [*model.graph.input, *model.graph.output]
    return [value.SerializeToString() for value in values]


def optimized(model: ModelProto, data: object, **options: Any) -> onnx_evoq.Result:
    """The result of a short run, whose model has the inputs and outputs of the given one."""
    usual: dict[str, Any] = {"bits": 4, "strategy": "none", "time_budget": None}
    result = onnx_evoq.optimize(model, data, **{**usual, **options})  # type: ignore[arg-type]
    assert stated(result.model) == stated(model)
    return result


def sequence_end() -> ModelProto:
    model = with_outputs_of([node("SplitToSequence", ["h"], ["y"], axis=1)], {"y": "float32"})
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(kind))
    return model


@pytest.mark.parametrize(
    ("model", "data", "names"),
    [
        (detector(), PICTURES, ("scores", "flat")),
        (classifier(), ROWS, ("probabilities",)),
        (classifier(strings=True), ROWS, ("probabilities",)),
        (sequence_end(), ROWS, ("h",)),
        (with_outputs_of([node("ArgMax", ["h"], ["y"])], {"y": "int64"}), ROWS, ("h",)),
    ],
)
def test_models_are_scored_before_what_selects(
    model: ModelProto, data: np.ndarray, names: tuple[str, ...]
) -> None:
    result = optimized(model, data)
    assert result.scored_at == names
    assert result.to_dict()["scored_at"] == list(names)
    assert any("scored at" in note for note in result.notes)
    assert 0 < result.scores["evolved"].heldout < result.scores["nearest"].heldout


def test_a_search_works_there_too() -> None:
    search = onnx_evoq.Strategy("coevolution", generations=2)
    result = optimized(classifier(), ROWS, strategy=search)
    assert result.evaluations > 0
    assert result.scores["evolved"].heldout < result.scores["nearest"].heldout


def test_integer_activations_end_there() -> None:
    result = optimized(detector(), PICTURES, bits=8, grid=onnx_evoq.Grid(activations=8))
    assert result.scores["evolved"].heldout < 0.05
    assert result.integer_ops["Conv"] == 1


def test_weights_behind_are_quantized_without_a_score() -> None:
    result = optimized(two_stages(), ROWS, bits_for={"head": 6})
    assert {layer.name: layer.bits for layer in result.layers} == {"first": 4, "head": 6}
    assert any("no score sees them: head" in note for note in result.notes)
    kept = optimized(two_stages(), ROWS, max_drop=100.0)
    assert {layer.name: layer.bits for layer in kept.layers} == {"first": 4, "head": 8}


def test_an_output_that_is_not_scored_keeps_its_values() -> None:
    nodes = [
        node("Conv", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["features"]),
        node("Conv", ["features", "second"], ["y"]),
    ]
    unlike = random(4, 3, 1, 1) * np.float32([1, 10, 100, 1000]).reshape(4, 1, 1, 1)
    weights = {"first": unlike, "second": random(2, 4, 1, 1) / 100}
    model = model_of(nodes, {"x": ["n", 3, 8, 8]}, {"features": None, "y": None}, weights)
    result = optimized(model, PICTURES, bits=8, score_at=["y"])
    assert result.scored_at == ("y",)
    before, after = (run(each, {"x": PICTURES})["features"] for each in (model, result.model))
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max()


def count_of_rows(outputs: Mapping[str, Any], labels: object) -> float:
    assert all(rows.shape[1] == 4 for rows in outputs["y"])
    return float(sum(len(rows) for rows in outputs["y"]))


count_of_rows.higher_is_better = True  # type: ignore[attr-defined]


def test_a_metric_of_the_user_takes_the_outputs() -> None:
    result = optimized(detector(), PICTURES, metric=count_of_rows)
    assert result.scored_at == ("scores", "flat")
    found = onnx_evoq.evaluate(result.model, PICTURES, metric=count_of_rows, reference=detector())
    rows = [len(run(result.model, {"x": x[None]})["y"]) for x in PICTURES]
    assert found.value == sum(rows)
    assert found.mse is not None
    assert found.mse > 0


def test_maps_are_values_of_python_for_such_a_metric() -> None:
    def likeliest(outputs: Mapping[str, Any], labels: object) -> float:
        maps = [each for (each,) in outputs["maps"]]
        assert [max(each, key=each.get) for each in maps] == outputs["label"].tolist()
        return float(np.mean([max(each.values()) for each in maps]))

    likeliest.higher_is_better = True  # type: ignore[attr-defined]
    result = optimized(classifier(), ROWS, metric=likeliest)
    assert 1 / 3 < result.scores["evolved"].heldout < 1


def test_a_search_of_widths_and_a_ranking_say_where_they_score() -> None:
    found = onnx_evoq.search_bits(two_stages(), ROWS, time_budget=1e-3)
    assert found.scored_at == ("h",)
    assert {name for point in found.front for name in point.policy.bits} == {"first"}
    result = optimized(two_stages(), ROWS, bits=None, policy=found.pick())
    assert {layer.name: layer.bits for layer in result.layers}["head"] == 8
    ranking = onnx_evoq.rank_sensitivity(two_stages(), ROWS)
    assert ranking.scored_at == ("h",)
    assert [row.name for row in ranking.rows] == ["first", "head"]
    assert np.isnan(ranking.rows[1].score)


def test_evaluate_pairs_the_points_of_both_models() -> None:
    result = optimized(detector(), PICTURES, format="float")
    found = onnx_evoq.evaluate(result.model, PICTURES, reference=detector())
    assert found.scored_at == ("scores", "flat")
    assert any("scored at" in note for note in found.notes)
    assert found.mse is not None
    assert found.mse > 0
    chosen = onnx_evoq.evaluate(result.model, PICTURES, reference=detector(), score_at=["logits"])
    assert chosen.scored_at == ("logits",)


def test_the_option_chooses_where(save: Callable[..., Path], tmp_path: Path) -> None:
    model = save(detector())
    data, config = tmp_path / "x.npy", tmp_path / "evoq.toml"
    np.save(data, PICTURES)
    config.write_text('score-at = ["logits", "boxes"]\nstrategy = "none"\n')
    arguments = ["optimize", str(model), "--bits", "4", "--data", str(data), "--json", "-q"]
    done = run_command(*arguments, "--config", config)
    assert json.loads(done.stdout)["scored_at"] == ["logits", "boxes"]
    refused = run_command(*arguments, "--score-at", "logit")
    assert refused.exit_code == 1
    assert "score_at 'logit' is no tensor" in refused.stderr
    assert "choose 'logits'" in refused.stderr
