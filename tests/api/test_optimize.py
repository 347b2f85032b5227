"""Quantize a model and search, on small models and on those in models/."""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from calls import optimize
from graphs import conv_net, mlp, random, run

import onnx_evoq
from onnx_evoq import Data, EvoqError, Result
from onnx_evoq.model import serialize

QUICK: dict[str, Any] = {"population": 4, "generations": 1, "mutation_rate": 0.05}
X = random(40, 3, 8, 8, seed=3)
SMALL_X = random(32, 4, seed=5)


def optimized(model: Any = None, data: Any = X, **options: Any) -> Result:
    return optimize(model or conv_net(), data, **{**QUICK, "bits": 4, **options})


@pytest.fixture(scope="module")
def usual() -> Result:
    """A convolutional network at 4 bits."""
    return optimized(seed=3)


@pytest.fixture(scope="module")
def from_nearest() -> Result:
    """The same from nearest rounding."""
    return optimized(init="nearest", generations=3)


@pytest.fixture(scope="module")
def small() -> Result:
    """A small network at 4 bits."""
    return optimized(mlp(), SMALL_X, seed=5)


def test_the_search_lowers_the_output_error(usual: Result) -> None:
    scores = usual.scores
    assert scores["reference"].search == 0
    assert scores["evolved"].search < scores["nearest"].search
    assert scores["evolved"].heldout <= scores["nearest"].heldout


def test_the_usual_start_is_better_than_nearest_rounding(usual: Result) -> None:
    scores = usual.scores
    assert scores["start"].search < 0.5 * scores["nearest"].search
    assert scores["start"].heldout < 0.5 * scores["nearest"].heldout


def test_the_search_can_start_from_nearest_rounding(from_nearest: Result) -> None:
    scores = from_nearest.scores
    assert scores["start"] == scores["nearest"]
    assert scores["evolved"].search < scores["nearest"].search


@pytest.mark.parametrize(
    ("bits", "granularity", "form"),
    [(2, "channel", "qdq"), (3, "tensor", "qdq"), (5, "channel", "float"), (8, "tensor", "qdq")],
)
def test_the_scores_are_those_of_the_file(
    tmp_path: Path, bits: int, granularity: Any, form: Any
) -> None:
    options = {"granularity": granularity, "format": form, "strategy": "none"}
    result = optimized(bits=bits, **options)
    result.save(tmp_path / "out.onnx")
    written = run(onnx.load(tmp_path / "out.onnx"), {"x": X})["logits"].astype(np.float64)
    expected = run(conv_net(), {"x": X})["logits"]
    error = ((written - expected) ** 2).mean(axis=1)  # (samples,)
    score = result.scores["evolved"]
    assert 30 * score.search + 10 * score.heldout == pytest.approx(error.sum(), rel=1e-3)
    assert result.bytes_after == (tmp_path / "out.onnx").stat().st_size


def test_no_search_from_nearest_rounding_gives_nearest_rounding(from_nearest: Result) -> None:
    rounded = optimized(strategy="none", init="nearest")
    assert rounded.scores["evolved"].search == pytest.approx(from_nearest.scores["nearest"].search)
    assert rounded.evaluations == 0


@pytest.mark.parametrize("init", ["nearest", "reconstruct"])
def test_coevolution_repeats_to_the_byte_and_is_no_worse_than_its_start(init: Any) -> None:
    options = {"strategy": "coevolution", "init": init, "population": 16, "generations": 2}
    one, two = (optimized(mlp(), SMALL_X, bits=3, **options) for _ in range(2))
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


def test_the_same_seed_gives_the_same_bytes(small: Result) -> None:
    one, other = (serialize(optimized(mlp(), SMALL_X, seed=seed).model) for seed in (5, 6))
    assert serialize(small.model) == one
    assert one != other


def test_without_data_the_same_seed_gives_the_same_bytes() -> None:
    results = (optimized(mlp(), Data(samples=20), strategy="none") for _ in range(2))
    one, two = (serialize(result.model) for result in results)
    assert one == two


def test_evaluations_are_counted(from_nearest: Result) -> None:
    # three weights, each: the start, 3 generations of 4, start and best on the held-out set;
    # a child that was seen before is not scored again
    most = 3 * (1 + 3 * 4 + 2)
    assert most - 3 <= from_nearest.evaluations <= most


def test_layers_are_in_the_order_of_their_sensitivity(from_nearest: Result) -> None:
    result = from_nearest
    ranking = onnx_evoq.rank_sensitivity(conv_net(), X, bits=4)
    sensitivities = [layer.sensitivity for layer in result.layers]
    assert sensitivities == sorted(sensitivities)
    assert {row.name for row in ranking.rows} == {layer.name for layer in result.layers}


def test_layers_are_ranked_only_where_their_order_has_an_effect(
    usual: Result, from_nearest: Result, small: Result
) -> None:
    def ranked(result: Result) -> bool:
        sensitivities = [layer.sensitivity for layer in result.layers]
        assert len({value != value for value in sensitivities}) == 1  # NaN: all or none
        return sensitivities[0] == sensitivities[0]

    assert not ranked(usual)
    assert [layer.name for layer in usual.layers] == ["w1", "w2", "w3"]  # the graph's order
    assert ranked(from_nearest)
    assert ranked(optimized(mlp(), SMALL_X, max_drop=5.0, strategy="none"))
    coevolution = {"strategy": "coevolution", "init": "nearest", "generations": 0}
    assert not ranked(optimized(mlp(), SMALL_X, **coevolution))


def test_a_result_says_how_it_was_made(usual: Result) -> None:
    assert (usual.source, usual.bits, usual.granularity) == ("the model in memory", 4, "tensor")
    assert (usual.scale, usual.seed, usual.metric) == ("pow2", 3, "mse")
    assert usual.bytes_before == len(serialize(conv_net()))
    assert usual.bytes_after == len(serialize(usual.model))
    assert 0 < usual.seconds < 600
    assert usual.stopped is None
    assert usual.session_options == {"session.disable_quant_qdq": "1"}


def test_metadata_say_how_the_file_was_made(usual: Result) -> None:
    result = usual
    props = {entry.key: entry.value for entry in result.model.metadata_props}
    assert props["onnx_evoq.seed"] == "3"
    assert props["onnx_evoq.version"]
    weights = json.loads(props["onnx_evoq.weights"])
    assert weights == {
        layer.name: {"bits": 4, "frac_bits": layer.frac_bits} for layer in result.layers
    }
    scores = json.loads(props["onnx_evoq.scores"])
    assert scores["nearest"]["search"] == pytest.approx(result.scores["nearest"].search, rel=1e-5)
    assert scores["evolved"]["search"] == pytest.approx(result.scores["evolved"].search, rel=1e-3)


def test_max_drop_zero_keeps_the_answers() -> None:
    result = optimized(bits=2, max_drop=0.0, strategy="none")
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
    emitted = optimized(keep=["head"], strategy="none").model
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
        optimized(mlp(), SMALL_X, **options)


def test_a_time_budget_that_ends_the_search_is_noted() -> None:
    result = optimized(mlp(), SMALL_X, time_budget=1e-6)
    assert result.stopped == "time"
    assert any("the time budget cut the search short" in note for note in result.notes)


def test_without_data_a_note_says_that_real_ones_do_better() -> None:
    result = optimized(mlp(), None, strategy="none")
    assert any("a few hundred real samples" in note for note in result.notes)


SHIPPED = ["vgg", "resnet", "depthwise", "transformer", "autoencoder"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_keep_their_answers_at_8_bits(models: Path, name: str) -> None:
    model = models / f"digits_{name}.onnx"
    data = Data(models / "digits_calib.npz", samples=32)
    result = optimized(model, data, bits=8, strategy="none", init="nearest")
    evaluation = onnx_evoq.evaluate(
        result.model, Data(models / "digits_test.npz", samples=50), reference=model, metric="sqnr"
    )
    assert evaluation.value > 20  # decibels: an error of 1 percent of the outputs' power


def test_reconstruction_lowers_the_error_of_a_shipped_model_on_unseen_data(models: Path) -> None:
    model = models / "digits_depthwise.onnx"
    data = Data(models / "digits_calib.npz", samples=32)
    unseen = Data(models / "digits_test.npz", samples=100)
    reconstructed, rounded = (
        onnx_evoq.evaluate(
            optimize(model, data, bits=4, strategy="none", init=init).model,
            unseen, metric="mse", reference=model,
        ).value
        for init in ("reconstruct", "nearest")
    )  # fmt: skip
    assert reconstructed < 0.7 * rounded


def test_a_uniform_policy_gives_the_bytes_of_its_width() -> None:
    policy = {"bits": {"first": 4, "second": 4}}
    uniform = optimized(mlp(), SMALL_X, policy=policy, bits=None, strategy="none")
    same = optimized(mlp(), SMALL_X, strategy="none")
    assert serialize(uniform.model) == serialize(same.model)


def test_a_policy_of_equal_widths_per_channel_gives_their_packed_bytes() -> None:
    policy = {"bits": {"first": [4] * 6, "second": [4] * 3}}
    result = optimized(mlp(), SMALL_X, policy=policy, bits=None, strategy="none")
    assert result.granularity == "channel"
    same = optimized(mlp(), SMALL_X, granularity="channel", strategy="none")
    assert result.packed_bytes == same.packed_bytes


def test_a_policy_with_both_kinds_of_steps_is_emitted() -> None:
    policy = {"bits": {"first": 4, "second": 4}, "granularity": {"second": "channel"}}
    result = optimize(mlp(), SMALL_X, policy=policy, strategy="none")
    assert result.granularity == "mixed"
    frac_bits = {layer.name: layer.frac_bits for layer in result.layers}
    assert isinstance(frac_bits["first"], int)
    assert len(frac_bits["second"]) == 3


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_policy_with_split_channels_is_emitted(share: float) -> None:
    policy = {"bits": {"first": 8, "second": 8}, "expansion": {"first": share}}
    result = optimize(mlp(), SMALL_X, policy=policy, strategy="none")
    written = run(result.model, {"x": SMALL_X})["logits"]
    np.testing.assert_allclose(written, run(mlp(), {"x": SMALL_X})["logits"], atol=0.1)
    (first,) = [t for t in result.model.graph.initializer if t.name.startswith("first_quant")][:1]
    assert first.dims[1] == 6 + np.ceil(share * 6)


def test_a_policy_goes_with_a_drop() -> None:
    policy = {"bits": {"first": 2, "second": 2}}
    result = optimize(mlp(), random(200, 4), policy=policy, max_drop=0.0, strategy="none")
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
        optimize(mlp(), random(16, 4), **options)


def test_the_defaults_are_those_of_the_documentation() -> None:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(onnx_evoq.optimize).parameters.items()
    }
    assert (defaults["time_budget"], defaults["holdout"], defaults["seed"]) == (240.0, 0.25, 0)
    assert (defaults["metric"], defaults["target"], defaults["format"]) == ("auto", None, None)


def test_a_name_of_a_strategy_stands_for_its_defaults() -> None:
    named, value = (
        onnx_evoq.optimize(mlp(), SMALL_X, bits=4, strategy=strategy, time_budget=None)
        for strategy in ("none", onnx_evoq.Strategy("none"))
    )
    assert serialize(named.model) == serialize(value.model)


def test_the_history_tells_the_best_value_of_each_stage() -> None:
    result = optimize(mlp(), random(16, 4), bits=3, generations=3, population=2)
    by_stage = {moment.stage: moment for moment in result.history.moments}
    assert {"reference", "reconstructing", "evolving 1", "scoring"} <= set(by_stage)
    evolving = by_stage["evolving 1"]
    assert evolving.layer == "second"
    assert evolving.best is not None
    assert evolving.evaluations is not None
    seconds = [moment.seconds for moment in result.history.moments]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= result.seconds
    assert len(result.to_dict()["history"]) == len(seconds)
