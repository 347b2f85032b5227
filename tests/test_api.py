"""The public functions from end to end, on small models and on those in models/."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, model_of, node, random, run

import onnx_evoq
import onnx_evoq.mixed_precision.evolution as evolution
from onnx_evoq import Data, EvoqError, Result
from onnx_evoq.model import serialize

QUICK: dict[str, Any] = {"population": 4, "generations": 3, "mutation_rate": 0.05}
X = random(40, 3, 8, 8, seed=3)


def optimized(model: Any = None, data: Any = X, **options: Any) -> Result:
    return onnx_evoq.optimize(model or conv_net(), data, **{**QUICK, "bits": 4, **options})


def test_the_search_lowers_the_output_error() -> None:
    scores = optimized(bits=3, generations=10).scores
    assert scores["reference"].search == 0
    assert scores["evolved"].search < scores["nearest"].search
    assert scores["evolved"].heldout <= scores["nearest"].heldout


def test_the_usual_start_is_better_than_nearest_rounding() -> None:
    scores = optimized().scores
    assert scores["start"].search < 0.5 * scores["nearest"].search
    assert scores["start"].heldout < 0.5 * scores["nearest"].heldout


def test_the_search_can_start_from_nearest_rounding() -> None:
    scores = optimized(init="nearest").scores
    assert scores["start"] == scores["nearest"]
    assert scores["evolved"].search < scores["nearest"].search


@pytest.mark.parametrize("form", ["qdq", "float"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_the_scores_are_those_of_the_file(
    tmp_path: Path, bits: int, granularity: Any, form: Any
) -> None:
    result = optimized(bits=bits, granularity=granularity, format=form)
    result.save(tmp_path / "out.onnx")
    written = run(onnx.load(tmp_path / "out.onnx"), {"x": X})["logits"].astype(np.float64)
    expected = run(conv_net(), {"x": X})["logits"]
    error = ((written - expected) ** 2).mean(axis=1)  # (samples,)
    score = result.scores["evolved"]
    assert 30 * score.search + 10 * score.heldout == pytest.approx(error.sum(), rel=1e-3)
    assert result.bytes_after == (tmp_path / "out.onnx").stat().st_size


def test_nearest_is_what_no_search_gives() -> None:
    searched, rounded = optimized(), optimized(strategy="none", init="nearest")
    assert rounded.scores["evolved"].search == pytest.approx(searched.scores["nearest"].search)
    assert rounded.evaluations == 0


@pytest.mark.parametrize("init", ["nearest", "reconstruct"])
def test_coevolution_repeats_to_the_byte_and_is_no_worse_than_its_start(init: Any) -> None:
    one, two = (
        optimized(strategy="coevolution", init=init, population=8, generations=10) for _ in range(2)
    )
    assert serialize(one.model) == serialize(two.model)
    start, end = one.scores["start"], one.scores["evolved"]
    assert end.search <= start.search * (1 + 1e-6)
    assert end.heldout <= start.heldout * (1 + 1e-6)
    assert one.evaluations > 20


def test_coevolution_keeps_an_allowed_drop() -> None:
    result = optimized(
        mlp(), random(200, 4), bits=2, max_drop=5.0, strategy="coevolution", init="nearest",
        population=8, generations=6,
    )  # fmt: skip
    agreement = onnx_evoq.evaluate(
        result.model, random(200, 4), metric="agreement", reference=mlp()
    ).value
    assert agreement > 0.8


@pytest.mark.parametrize("form", ["qdq", "float"])
def test_the_same_seed_gives_the_same_bytes(form: Any) -> None:
    one, two = (serialize(optimized(format=form, seed=5).model) for _ in range(2))
    assert one == two
    assert serialize(optimized(format=form, seed=6).model) != one


def test_without_data_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (serialize(optimized(data=Data(samples=20)).model) for _ in range(2))
    assert one == two


def test_evaluations_are_counted() -> None:
    # three weights, each: the start, 3 generations of 4, start and best on the held-out set;
    # a child that was seen before is not scored again
    most = 3 * (1 + 3 * 4 + 2)
    assert most - 3 <= optimized(init="nearest").evaluations <= most


def test_layers_are_in_the_order_of_their_sensitivity() -> None:
    result = optimized(init="nearest")
    ranking = onnx_evoq.rank_sensitivity(conv_net(), X, bits=4)
    sensitivities = [layer.sensitivity for layer in result.layers]
    assert sensitivities == sorted(sensitivities)
    assert {row.name for row in ranking.rows} == {layer.name for layer in result.layers}


def test_metadata_say_how_the_file_was_made() -> None:
    result = optimized(seed=3)
    props = {entry.key: entry.value for entry in result.model.metadata_props}
    assert props["onnx_evoq.seed"] == "3"
    assert props["onnx_evoq.version"]
    weights = json.loads(props["onnx_evoq.weights"])
    assert weights == {
        layer.name: {"bits": 4, "frac_bits": layer.frac_bits} for layer in result.layers
    }
    scores = json.loads(props["onnx_evoq.scores"])
    assert scores["nearest"]["search"] == pytest.approx(result.scores["nearest"].search)
    assert scores["evolved"]["search"] == pytest.approx(result.scores["evolved"].search, rel=1e-3)


def test_max_drop_zero_keeps_the_answers() -> None:
    result = optimized(bits=2, max_drop=0.0)
    widths = {layer.bits for layer in result.layers}
    assert widths <= {2, 8}
    evaluation = onnx_evoq.evaluate(result.model, X, reference=conv_net())
    nearest = onnx_evoq.evaluate(optimized(bits=2, strategy="none").model, X, reference=conv_net())
    assert evaluation.agreement >= nearest.agreement


def test_max_drop_leaves_the_rest_at_8_bits_and_says_so() -> None:
    result = optimized(mlp(), random(200, 4), bits=2, max_drop=0.0, strategy="none")
    left = [layer.name for layer in result.layers if layer.bits == 8]
    assert left
    assert any(f"{len(left)} of 2 weights stay at 8 bits" in note for note in result.notes)


def test_kept_weights_stay_as_they_were() -> None:
    emitted = optimized(keep=["head"]).model
    values = {t.name: onnx.numpy_helper.to_array(t) for t in emitted.graph.initializer}
    assert (values["w3"] == random(6, 5, seed=8)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "bits 1 is out of range: choose from 2 to 8"),
        ({"granularity": "row"}, "granularity 'row' is unknown: choose tensor or channel"),
        ({"scale": "log"}, "scale 'log' is unknown"),
        ({"strategy": "luck"}, "strategy 'luck' is unknown"),
        ({"strategy": "coevolution", "population": 1}, "population 1 has nothing to compare"),
        ({"init": "zero"}, "init 'zero' is unknown: choose reconstruct or nearest"),
        ({"format": "gguf"}, "format 'gguf' is unknown"),
        ({"holdout": 1.0}, r"holdout 1\.0 is no share"),
        ({"max_drop": -1.0}, r"max_drop -1\.0 is no percentage"),
        ({"time_budget": 0.0}, r"time_budget 0\.0 is not positive"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"metric": "speed"}, "unknown metric 'speed'"),
        ({"keep": ["nothing"]}, "keep 'nothing' matches no weight"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EvoqError, match=message):
        optimized(**options)


def test_a_time_budget_that_ends_the_search_is_noted() -> None:
    result = optimized(time_budget=1e-6)
    assert result.stopped == "time"
    assert any("the time budget cut the search short" in note for note in result.notes)


def test_without_data_a_note_says_that_real_ones_do_better() -> None:
    result = optimized(data=None, strategy="none")
    assert any("a few hundred real samples" in note for note in result.notes)


def test_evaluate_compares_with_a_reference() -> None:
    labels = run(conv_net(), {"x": X})["logits"].argmax(axis=1)
    evaluation = onnx_evoq.evaluate(
        optimized(bits=8).model, {"x": X, "y": labels}, reference=conv_net()
    )
    assert evaluation.metric == "top1"
    assert evaluation.value == evaluation.agreement  # the labels are the float model's answers
    assert 0 < evaluation.mse < 0.1
    assert evaluation.samples == 40


def test_evaluate_takes_outputs_of_other_names_by_position() -> None:
    renamed = mlp()
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "scores"
    evaluation = onnx_evoq.evaluate(renamed, random(9, 4), reference=mlp())
    assert (evaluation.mse, evaluation.agreement) == (0, 1)


def test_evaluate_needs_something_to_score_against() -> None:
    with pytest.raises(EvoqError, match="nothing to score against: give data with labels"):
        onnx_evoq.evaluate(mlp(), random(9, 4))


def test_evaluate_notes_outputs_that_are_no_numbers() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Log", ["a"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)})
    evaluation = onnx_evoq.evaluate(model, {"x": random(9, 4), "y": np.zeros(9, int)})
    assert any("output 'y' is NaN or infinite for" in note for note in evaluation.notes)


def test_inspect_lists_weights_of_the_folded_model() -> None:
    inspection = onnx_evoq.inspect(conv_net())
    assert inspection.folded == ("norm",)
    assert [weight.name for weight in inspection.weights] == ["w1", "w2", "w3"]
    weight = inspection.weights[2]
    assert (weight.shape, weight.axis, weight.op_type) == ((6, 5), 1, "Gemm")
    assert weight.bytes == {bits: -(-30 * bits // 8) for bits in range(2, 9)}


def test_inspect_says_what_keeps_channels_from_being_split() -> None:
    reasons = {weight.name: weight.no_expansion for weight in onnx_evoq.inspect(mlp()).weights}
    assert reasons == {
        "first": None,
        "second": "its output is an output of the model (logits)",
    }
    assert "sum" in str(onnx_evoq.inspect(conv_net()).weights[0].no_expansion)  # once folded


SHIPPED = ["vgg", "resnet", "depthwise", "transformer", "autoencoder"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_keep_their_answers_at_8_bits(models: Path, name: str) -> None:
    model = models / f"digits_{name}.onnx"
    data = Data(models / "digits_calib.npz", samples=64)
    result = optimized(model, data, bits=8, strategy="none")
    evaluation = onnx_evoq.evaluate(
        result.model, Data(models / "digits_test.npz", samples=200), reference=model, metric="sqnr"
    )
    assert evaluation.value > 20  # decibels: an error of 1 percent of the outputs' power


@pytest.mark.parametrize("name", SHIPPED)
def test_evolution_lowers_the_error_of_shipped_models_on_unseen_data(
    models: Path, name: str
) -> None:
    model = models / f"digits_{name}.onnx"
    data = Data(models / "digits_calib.npz", samples=64)
    result = onnx_evoq.optimize(model, data, bits=4, population=4, generations=2)
    rounded = onnx_evoq.optimize(model, data, bits=4, strategy="none", init="nearest")
    unseen = models / "digits_test.npz"
    before, after = (
        onnx_evoq.evaluate(r.model, unseen, metric="mse", reference=model).value
        for r in (rounded, result)
    )
    assert after < before


# Searching for widths


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of two generations."""
    monkeypatch.setattr(evolution, "_POPULATION", 8)
    monkeypatch.setattr(evolution, "_GENERATIONS", 2)


def found_in(model: Any = None, data: Any = None, **options: Any) -> onnx_evoq.Search:
    x = random(32, 4, seed=5) if data is None else data
    return onnx_evoq.search_bits(model or mlp(), x, **options)


@pytest.mark.usefixtures("short")
def test_a_search_tells_all_that_it_found() -> None:
    found = found_in(seed=3)
    values = found.to_dict()
    assert (values["model"], values["metric"], values["size"], values["seed"]) == (
        "the model in memory", "mse", "packed", 3,
    )  # fmt: skip
    assert len(values["uniform"]) == 7
    assert values["hypervolume"].keys() == {"front", "uniform", "greedy"}
    assert found.evaluations > 0
    assert found.seconds > 0
    assert (found.stopped, found.notes) == (None, ())


@pytest.mark.usefixtures("short")
def test_the_same_seed_finds_the_same_front() -> None:
    one, two = (found_in(seed=4, workers=workers).to_dict() for workers in (1, 2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_a_uniform_policy_gives_the_bytes_of_its_width() -> None:
    uniform = optimized(policy={"bits": dict.fromkeys(["w1", "w2", "w3"], 4)}, bits=None)
    assert serialize(uniform.model) == serialize(optimized(bits=4).model)


def test_a_policy_of_equal_widths_per_channel_gives_their_packed_bytes() -> None:
    policy = {"bits": {"w1": [4] * 6, "w2": [4] * 6, "w3": [4] * 5}}
    result = optimized(policy=policy, bits=None)
    assert result.granularity == "channel"
    assert result.packed_bytes == optimized(granularity="channel").packed_bytes


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_point_is_optimized_as_it_was_measured(per_channel: bool) -> None:
    x = random(32, 4, seed=5)
    found = found_in(data=x, per_channel=per_channel)
    for point in (found.front[0], found.front[len(found.front) // 2]):
        result = onnx_evoq.optimize(mlp(), x, policy=point, strategy="none")
        assert result.packed_bytes == point.packed_bytes
        assert 0 <= point.file_bytes - result.bytes_after < 300
        several = set(point.policy.granularity.values())
        assert result.granularity == ("mixed" if len(several) > 1 else several.pop())
        assert result.bits is None


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_search_may_be_held_to_one_granularity(granularity: Any) -> None:
    found = found_in(granularity=granularity)
    for point in (*found.front, *found.uniform, *found.greedy):
        assert set(point.policy.granularity.values()) == {granularity}


@pytest.mark.usefixtures("short")
def test_uniform_widths_have_one_step_for_each_weight() -> None:
    for point in found_in().uniform:
        assert set(point.policy.granularity.values()) == {"tensor"}


def test_a_policy_with_both_kinds_of_steps_is_emitted() -> None:
    policy = {"bits": {"first": 4, "second": 4}, "granularity": {"second": "channel"}}
    result = onnx_evoq.optimize(mlp(), random(32, 4, seed=5), policy=policy, **QUICK)
    assert result.granularity == "mixed"
    frac_bits = {layer.name: layer.frac_bits for layer in result.layers}
    assert isinstance(frac_bits["first"], int)
    assert len(frac_bits["second"]) == 3


@pytest.mark.usefixtures("short")
def test_a_saved_policy_gives_the_bytes_of_the_point() -> None:
    x = random(32, 4, seed=5)
    point = found_in(data=x).front[2]
    saved = json.loads(json.dumps(point.to_dict()))
    one, two = (
        onnx_evoq.optimize(mlp(), x, policy=policy, time_budget=None, **QUICK)
        for policy in (point, saved)
    )
    assert serialize(one.model) == serialize(two.model)
    assert {layer.name: layer.bits for layer in one.layers} == point.policy.bits


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_policy_with_split_channels_is_emitted(share: float) -> None:
    policy = {"bits": {"first": 8, "second": 8}, "expansion": {"first": share}}
    x = random(32, 4, seed=5)
    result = onnx_evoq.optimize(mlp(), x, policy=policy, **QUICK)
    written = run(result.model, {"x": x})["logits"]
    np.testing.assert_allclose(written, run(mlp(), {"x": x})["logits"], atol=0.1)
    (first,) = [t for t in result.model.graph.initializer if t.name.startswith("first_quant")][:1]
    assert first.dims[1] == 6 + np.ceil(share * 6)


def test_a_policy_goes_with_a_drop() -> None:
    policy = {"bits": {"first": 2, "second": 2}}
    result = onnx_evoq.optimize(mlp(), random(200, 4), policy=policy, max_drop=0.0, strategy="none")
    assert 8 in {layer.bits for layer in result.layers}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "neither bits nor a policy is given"),
        ({"bits": 4, "policy": {"bits": {}}}, "leave bits and bits_for out"),
        ({"policy": {"bits": {}}, "bits_for": {"first": 3}}, "leave bits and bits_for out"),
        ({"policy": {"bits": {"first": 4}}}, "the policy has no bits for 'second'"),
        ({"policy": "nowhere.json"}, "nowhere.json: cannot be read as JSON"),
    ],
)
def test_what_to_emit_is_said_once(options: dict[str, Any], text: str) -> None:
    with pytest.raises(EvoqError, match=text):
        onnx_evoq.optimize(mlp(), random(16, 4), **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": "zip"}, "size 'zip' is unknown: choose packed or file"),
        ({"granularity": "row"}, "granularity 'row' is unknown"),
        (
            {"granularity": "tensor", "per_channel": True},
            "widths per channel need steps per channel: choose granularity channel or any",
        ),
        ({"seed": -1}, "seed -1 is negative"),
        ({"holdout": 1.0}, "holdout"),
        ({"keep": ["*"]}, "leaves no weight to quantize"),
        ({"workers": 0}, "workers 0 score nothing"),
    ],
)
def test_a_search_checks_what_it_is_asked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(EvoqError, match=text):
        found_in(**options)


@pytest.mark.usefixtures("short")
def test_a_metric_of_the_user_makes_a_front() -> None:
    def closeness(outputs: dict, labels: np.ndarray) -> float:
        return -float(np.abs(outputs["logits"] - labels).mean())

    closeness.higher_is_better = True  # type: ignore[attr-defined]
    x = random(32, 4, seed=5)
    found = found_in(data={"x": x, "y": run(mlp(), {"x": x})["logits"]}, metric=closeness)
    values = [point.search for point in found.front]
    assert values == sorted(values)
    assert max(values) < 0
    assert found.hypervolume["front"] > 0


@pytest.mark.usefixtures("short")
def test_models_with_several_inputs_have_a_front() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["z", "v"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"w": random(4, 3), "v": random(5, 3, seed=1)}
    model = model_of(nodes, {"x": ["n", 4], "z": ["n", 5]}, {"y": ["n", 3]}, weights)
    found = found_in(model, {"x": random(20, 4, seed=2), "z": random(20, 5, seed=3)})
    assert len(found.uniform) == 7
    assert {*found.front[0].policy.bits} == {"w", "v"}


def test_a_search_without_time_says_so() -> None:
    found = found_in(time_budget=1e-3)
    assert found.stopped == "time"
    assert any("the time budget cut the search short" in note for note in found.notes)
    assert len(found.uniform) == 7


@pytest.mark.usefixtures("short")
def test_weights_that_are_kept_are_no_part_of_a_policy() -> None:
    found = found_in(keep=["layer1"])
    assert all(set(point.policy.bits) == {"second"} for point in found.front)
    assert not any(point.policy.expansion for point in found.front)
