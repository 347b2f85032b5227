"""Policies: which files are read, which are refused, and how a policy changes a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, fire, flat, mlp, random, recurrent, run
from onnx import ModelProto

from onnx_evoq.data import Data
from onnx_evoq.errors import OptionError
from onnx_evoq.mixed_precision import ParetoPoint, Policy, apply_policy, policy_from
from onnx_evoq.mixed_precision.search_space.policy import expanded
from onnx_evoq.model import find_weights, load
from onnx_evoq.report import MixedPrecision, Search
from onnx_evoq.setup import open_float_model, prepare_calibration
from onnx_evoq.setup.float_model import FloatModel

X = random(16, 4)


@pytest.mark.parametrize(
    "policy",
    [
        Policy({"a": 4, "b": 8}),
        Policy({"a": 4, "b": (2, 3, 8)}, {"a": 0.125}),
        Policy({"a": (2, 2)}, {"a": 1.0, "b": 0.0625}),
        Policy({"a": 4, "b": (2, 3)}, {}, {"a": "tensor", "b": "channel"}),
    ],
)
def test_a_policy_survives_json(policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(policy.to_dict()))
    assert policy_from(path) == policy_from(str(path)) == policy_from(policy.to_dict()) == policy
    assert policy_from(policy) is policy


def test_a_point_is_read_without_its_sizes() -> None:
    point = {"bits": {"a": 3}, "expansion": {}, "packed_bytes": 5, "search": 0.5}
    assert policy_from(point) == Policy({"a": 3})


def test_the_chosen_point_of_a_search_is_read() -> None:
    printed = {"front": [{"bits": {"a": 8}}], "chosen": {"bits": {"a": 3}}}
    assert policy_from(printed) == Policy({"a": 3})


POINT = ParetoPoint(Policy({"a": 3}), 5, 9, 0.5, 0.25, 1.5, 0.125)


def test_the_other_keys_of_a_point_and_of_a_search_are_ignored() -> None:
    assert policy_from(POINT.to_dict()) == POINT.policy
    search = Search(
        source="m", metric="mse", size="file", seed=0, front=(POINT,), uniform=(), greedy=(),
        hypervolume={}, evaluations=1, seconds=1.0, stopped=None, notes=(),
    )  # fmt: skip
    printed = MixedPrecision(search, None, None, ()).to_dict()
    assert policy_from({**printed, "chosen": POINT.to_dict()}) == POINT.policy


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("bit", "bits"),
        ("Bits", "bits"),
        ("granularities", "granularity"),
        ("expansions", "expansion"),
        ("expand", "expansion"),
    ],
)
def test_a_misspelt_key_is_refused(key: str, meant: str) -> None:
    with pytest.raises(OptionError) as caught:
        policy_from({"bits": {"a": 3}, key: {"a": 4}})
    assert str(caught.value) == f"the policy: {key!r} is no key of a policy: write {meant!r}."


def test_a_share_of_0_is_no_expansion() -> None:
    assert policy_from({"bits": {"a": 3}, "expansion": {"a": 0}}).expansion == {}


def test_a_weight_with_a_width_per_channel_has_a_step_per_channel() -> None:
    policy = Policy({"a": 4, "b": (2, 8), "c": 3, "d": 5}, {}, {"c": "channel"})
    assert policy.granularities("tensor") == {
        "a": "tensor", "b": "channel", "c": "channel", "d": "tensor"
    }  # fmt: skip
    usual = {"a": "channel", "b": "tensor", "c": "tensor", "d": "tensor"}
    assert policy.granularities(usual) == {**usual, "b": "channel", "c": "channel"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "cannot be read as JSON"),
        ("[1, 2]", 'is no policy, which looks like {"bits": {"WEIGHT": 4, ..}'),
        ('{"bits": 4}', "is no policy"),
        ('{"bits": {"a": 4}, "granularity": "channel"}', "its granularity is no mapping"),
        (
            '{"bits": {"a": 4}, "granularity": {"a": "row"}}',
            "'row' of 'a' is not tensor or channel",
        ),
        (
            '{"bits": {"a": [4, 3]}, "granularity": {"a": "tensor"}}',
            "'a' has a width per channel, but one step for all",
        ),
        (
            '{"bits": {"a": "four"}}',
            "'four' of 'a' is no width from 2 to 8, nor a list of them",
        ),
        ('{"bits": {"a": 4.0}}', "bits 4.0 of 'a' is no width"),
        ('{"bits": {"a": true}}', "bits True of 'a' is no width"),
        ('{"bits": {"a": []}}', r"bits \[\] of 'a' is no width"),
        ('{"bits": {"a": 1}}', "bits 1 of 'a' is no width from 2 to 8"),
        ('{"bits": {"a": [4, 9]}}', r"bits \[4, 9\] of 'a' is no width"),
        ('{"bits": {"a": 4}, "expansion": [1]}', "its expansion is no mapping"),
        ('{"bits": {"a": 4}, "expansion": {"a": "1"}}', "expansion '1' of 'a' is no share"),
        ('{"bits": {"a": 4}, "expansion": {"a": 1.5}}', "expansion 1.5 of 'a' is no share"),
        ('{"bits": {"a": 4}, "expansion": {"a": NaN}}', "expansion nan of 'a' is no share"),
    ],
)
def test_a_file_that_holds_no_policy_is_refused(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(OptionError, match=text) as caught:
        policy_from(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe{"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "policy.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OptionError, match="cannot be read as JSON"):
        policy_from(path)


SPLITS = {
    "mlp": (mlp, {"first": 0.5}),
    "fire": (fire, {"squeeze": 0.1, "one": 1.0, "three": 0.3}),
    "flat": (flat, {"up": 0.2, "wide": 0.4}),
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_model_with_split_channels_computes_the_same(name: str) -> None:
    make, shares = SPLITS[name]
    model = load(make())
    dims = model.graph.input[0].type.tensor_type.shape.dim[1:]
    feed = {"x": random(5, *(dim.dim_value for dim in dims), seed=4)}
    split = expanded(model, shares)
    before, after = run(model, feed)["y" if name != "mlp" else "logits"], run(split, feed)
    np.testing.assert_allclose(next(iter(after.values())), before, rtol=1e-4, atol=1e-5)
    sizes = {weight.name: weight.shape for weight in find_weights(model)[0]}
    wider = {weight.name: weight.shape for weight in find_weights(split)[0]}
    assert all(np.prod(wider[name]) > np.prod(sizes[name]) for name in shares)


def test_without_shares_the_model_itself_is_returned() -> None:
    model = load(mlp())
    assert expanded(model, {"first": 0.0}) is model


@pytest.mark.parametrize(
    ("make", "name", "why"),
    [
        (mlp, "second", "its output is an output of the model"),
        (recurrent, "w", "not the weight of one linear layer"),
        (conv_net, "nothing", "there is no such weight"),
    ],
)
def test_a_layer_that_cannot_be_split_is_named(make: Any, name: str, why: str) -> None:
    with pytest.raises(OptionError, match=f"the channels of '{name}' cannot be split: .*{why}"):
        expanded(load(make()), {name: 0.5})


def applied(
    policy: Policy,
    model: ModelProto | None = None,
    keep: list[str] | None = None,
    inputs: np.ndarray = X,
) -> FloatModel:
    float_model = open_float_model(model or mlp(), keep or [])
    calibration = prepare_calibration(
        float_model.reference, "m.onnx", Data(inputs), "auto", 0.5, np.random.default_rng(0)
    )
    return apply_policy(float_model, policy, calibration)


def test_a_policy_splits_the_channels_of_the_float_model() -> None:
    float_model = applied(Policy({"first": 4, "second": 2}, {"first": 0.25}))
    assert {weight.name: weight.shape for weight in float_model.weights} == {
        "first": (4, 8),  # 2 of 6 channels are split
        "second": (3, 8),
    }


def test_weights_that_stay_float_need_no_bits() -> None:
    float_model = applied(Policy({"first": 4}), keep=["second"])
    assert [weight.name for weight in float_model.weights] == ["first"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ({"first": 4}, "has no bits for 'second'"),
        ({"first": 4, "second": 4, "third": 4}, "names 'third'"),
        ({"first": (4, 4), "second": 4}, "has 2 widths for 'first', which has 6 channels"),
    ],
)
def test_a_policy_of_another_model_is_refused(bits: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text) as caught:
        applied(Policy(bits))
    assert "search again" in str(caught.value)


def test_a_weight_without_a_channel_axis_has_no_widths_per_channel() -> None:
    bits = {"table": (4,), "w": 4, "r": 4, "last": 4}
    inputs = np.arange(80).reshape(16, 5) % 7
    with pytest.raises(OptionError, match="has 1 widths for 'table', which has 0 channels"):
        applied(Policy(bits), recurrent(), inputs=inputs)


def test_with_split_channels_there_are_more_widths() -> None:
    bits = {"first": (4,) * 6 + (2, 2), "second": 4}
    applied(Policy(bits, {"first": 0.25}))
    with pytest.raises(OptionError, match="has 8 widths for 'first', which has 6 channels"):
        applied(Policy(bits))


def test_a_key_that_is_unknown_is_refused_with_those_that_are_known() -> None:
    text = "'keep' is no key of a policy: these are: bits, expansion, granularity"
    with pytest.raises(OptionError, match=text):
        policy_from({"bits": {"w": 4}, "keep": []})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"bits": {"w": 4, "w": 8}}', "cannot be read as JSON: the key 'w' stands there twice"),
        ("[" * 100_000, "is nested too deeply: a policy looks like"),
        ('{"bits": {"w": NaN}}', "bits nan of 'w' is no width from 2 to 8"),
    ],
)
def test_a_file_of_odd_json_is_refused(content: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(OptionError, match=text):
        policy_from(path)
