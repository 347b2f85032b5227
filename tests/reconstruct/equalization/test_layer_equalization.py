"""Cross-layer equalization: the same outputs from weights that cost less to round."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run, task_of
from onnx import ModelProto

from onnx_evoq.metrics import find_metric
from onnx_evoq.model import (
    ChannelGroups,
    Model,
    find_weights,
    fold_batch_norm,
    initializer_values,
    load,
    replace_weights,
)
from onnx_evoq.quantize import Profile
from onnx_evoq.reconstruct.equalization import layer_equalization as module
from onnx_evoq.reconstruct.equalization.layer_equalization import (
    _one_scale_per_layer,
    equalize_layers,
)
from onnx_evoq.reconstruct.layer_by_layer import reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value


def folded(dtype: str = "float32") -> Model:
    return fold_batch_norm(load(conv_net(dtype=dtype)))[0]


def conv_task(**options: Any) -> Task:
    return task_of(folded(), random(16, 3, 8, 8, seed=1), random(8, 3, 8, 8, seed=2), **options)


def chain(middle: float = 1.0, hidden: int = 8) -> ModelProto:
    """x (n, 6) -> three Gemms with Relus between -> y (n, 4); the range of the second is set."""
    weights = {
        "w1": random(6, hidden),
        "w2": random(hidden, 8, seed=1),
        "w3": random(8, 4, seed=2),
    }
    weights["w2"] *= middle / abs(weights["w2"]).max()
    nodes = [
        node("Gemm", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w2"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("Gemm", ["d", "w3"], ["y"]),
    ]
    return model_of(nodes, {"x": ["n", 6]}, {"y": ["n", 4]}, weights)


INPUTS = random(40, 6, seed=1)


def chain_task(middle: float = 1.1, hidden: int = 8, **options: Any) -> Task:
    return task_of(load(chain(middle, hidden)), INPUTS, random(16, 6, seed=2), **options)


def equalized(task: Task) -> Task:
    """The task with scaled layers; there must be some."""
    found = equalize_layers(task, np.random.default_rng(0))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def chains() -> tuple[Task, Task]:
    """The chain before and after equalization."""
    task = chain_task()
    return task, equalized(task)


@pytest.fixture(scope="module")
def conv_nets() -> tuple[Task, Task]:
    """The convolutional network before and after equalization."""
    task = conv_task()
    return task, equalized(task)


@pytest.fixture(scope="module")
def factors(chains: tuple[Task, Task]) -> dict[str, np.ndarray]:
    """By weight of the chain, what each of its entries was multiplied with."""
    before, after = chains
    pairs = zip(before.weights, after.weights, strict=True)
    return {one.name: other.values / one.values for one, other in pairs}


@pytest.mark.parametrize(
    ("tasks", "shape"), [("conv_nets", (9, 3, 8, 8)), ("chains", (9, 6))], ids=["conv", "chain"]
)
def test_the_outputs_stay_the_same(
    tasks: str, shape: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    inputs = {"x": random(*shape, seed=3)}
    (before,), (after,) = (
        run(task.model, inputs).values() for task in request.getfixturevalue(tasks)
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_all_channels_of_a_layer_have_one_scale(factors: dict[str, np.ndarray]) -> None:
    for each in factors.values():
        np.testing.assert_allclose(each, each.flat[0], rtol=1e-6)
    assert any((each != 1).any() for each in factors.values())


def test_scales_are_at_most_half_an_octave(factors: dict[str, np.ndarray]) -> None:
    assert 2**-0.5 - 1e-6 <= factors["w1"].flat[0] <= 2**0.5 + 1e-6  # its input keeps its scale


def test_inputs_and_outputs_of_the_model_keep_their_scale(factors: dict[str, np.ndarray]) -> None:
    assert np.prod([each.flat[0] for each in factors.values()]) == pytest.approx(1)


def test_the_task_has_the_weights_of_its_model(conv_nets: tuple[Task, Task]) -> None:
    found = conv_nets[1]
    assert [weight.name for weight in found.weights] == ["w1", "w2", "w3"]
    values = {weight.name: weight.values for weight in find_weights(found.model)[0]}
    for weight in found.weights:
        np.testing.assert_array_equal(weight.values, values[weight.name])


def test_nothing_else_of_the_task_changes(chains: tuple[Task, Task]) -> None:
    task, found = chains
    assert replace(found, model=task.model, weights=task.weights) == task


def test_the_model_itself_stays_as_it_is() -> None:
    task = chain_task()
    before = task.model.SerializeToString()
    equalized(task)
    assert task.model.SerializeToString() == before


def test_a_weight_that_stays_float_is_not_scaled() -> None:
    nodes = [
        node("Gemm", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w2"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("Gemm", ["d", "w3"], ["e"]),
        node("Relu", ["e"], ["f"]),
        node("Gemm", ["f", "w4"], ["y"]),
    ]
    weights = {name: random(6, 6, seed=seed) for seed, name in enumerate(["w1", "w2", "w3", "w4"])}
    model = load(model_of(nodes, {"x": ["n", 6]}, {"y": ["n", 6]}, weights))
    found = equalized(task_of(model, INPUTS, INPUTS, keep=["w4"]))
    (before,), (after,) = (initializer_values(m, ["w4"]).values() for m in (model, found.model))
    np.testing.assert_array_equal(after, before)
    (one,), (other,) = (run(m, {"x": INPUTS}).values() for m in (model, found.model))
    np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def test_the_bias_of_a_weight_that_stays_float_is_not_scaled() -> None:
    task = task_of(load(mlp()), random(40, 4, seed=1), random(8, 4, seed=2), keep=["first"])
    assert equalize_layers(task, np.random.default_rng(0)) is None  # nothing else has a scale


def test_a_range_just_above_a_power_of_two_is_brought_below() -> None:
    task = chain_task(1.05, bits={"w1": 8, "w2": 3, "w3": 8})
    errors = [
        model_value(reconstruct_layers(each, np.random.default_rng(0)).as_float, task.heldout_set)
        for each in (equalized(task), task)
    ]
    assert errors[0] < errors[1]


def without_scales() -> Task:
    nodes = [node("Gemm", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)}))
    return task_of(model, random(20, 4), random(8, 4))


@pytest.mark.parametrize(
    "make",
    [without_scales, lambda: chain_task(deadline=Deadline(0))],
    ids=["no scales", "no time"],
)
def test_there_may_be_nothing_to_scale(make: Callable[[], Task]) -> None:
    assert equalize_layers(make(), np.random.default_rng(0)) is None


def test_a_model_in_float16_is_scaled_too() -> None:
    inputs = [random(40, 6, seed=seed, dtype="float16") for seed in (1, 2, 3)]
    proto = chain(1.1)
    weights = {w.name: w.values.astype("float16") for w in find_weights(load(proto))[0]}
    nodes = list(proto.graph.node)
    model = load(model_of(nodes, {"x": ["n", 6]}, {"y": ["n", 4]}, weights, dtype="float16"))
    found = equalized(task_of(model, *inputs[:2]))
    (before,), (after,) = (run(m, {"x": inputs[2]}).values() for m in (model, found.model))
    np.testing.assert_allclose(after, before, atol=0.05)
    assert any((weight.values != weights[weight.name]).any() for weight in found.weights)


def test_outputs_may_be_integers() -> None:
    nodes = [
        node("Gemm", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w2"], ["c"]),
        node("ArgMax", ["c"], ["y"], axis=1, keepdims=0),
    ]
    weights = {"w1": random(4, 4), "w2": random(4, 4, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n"]}, weights, dtypes={"y": "int64"}))
    found = equalized(task_of(model, random(20, 4), random(8, 4), metric="agreement"))
    (before,), (after,) = (run(m, {"x": random(9, 4)}).values() for m in (model, found.model))
    np.testing.assert_array_equal(after, before)


# Profiles


class Spy:
    """Records what `round_alone` and `choose_scales` are given, and what they return."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounded: list[Any] = []
        self.profiles: list[Profile] = []
        round_alone, choose_scales = module.round_alone, module.choose_scales

        def rounding(*arguments: Any) -> Any:
            self.rounded.append(round_alone(*arguments))
            return self.rounded[-1]

        def choosing(profiles: list[Profile], count: int) -> Any:
            self.profiles = profiles
            return choose_scales(profiles, count)

        monkeypatch.setattr(module, "round_alone", rounding)
        monkeypatch.setattr(module, "choose_scales", choosing)


@pytest.mark.parametrize("size", [1.0, 0.02])  # the shares of small inputs sum up to less than 1
def test_the_importance_of_a_layer_is_the_models_error_per_error_of_the_layer(
    monkeypatch: pytest.MonkeyPatch, size: float
) -> None:
    spy, model = Spy(monkeypatch), load(chain(1.1))
    task = task_of(model, size * INPUTS, INPUTS)
    equalized(task)
    nmse = task.search_set.scored_by(find_metric("nmse"))
    columns = size * INPUTS
    for weight, rounded, profile in zip(task.weights, spy.rounded, spy.profiles, strict=True):
        changed = replace_weights(model, {weight.name: rounded.values})
        own_error = np.square(columns @ (rounded.values - weight.values)).sum(axis=1).mean()
        expected = model_value(changed, nmse) / own_error
        assert profile.importance == pytest.approx(expected, rel=1e-3)
        columns = np.maximum(columns @ weight.values, 0)


def test_profiles_name_the_scales_of_outputs_and_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    equalized(chain_task())
    assert [profile.output for profile in spy.profiles] == [0, 1, -1]
    assert [set(profile.inputs.tolist()) for profile in spy.profiles] == [{-1}, {0}, {1}]
    for profile, rounded in zip(spy.profiles, spy.rounded, strict=True):
        assert profile.costs is rounded.costs
        assert profile.input_shares is rounded.input_shares


def test_a_weight_without_a_closed_form_has_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    spy, original = Spy(monkeypatch), module.find_layers
    monkeypatch.setattr(
        module,
        "find_layers",
        lambda *given: {n: each for n, each in original(*given).items() if n != "w2"},
    )
    equalize_layers(chain_task(), np.random.default_rng(0))
    assert [profile.output for profile in spy.profiles] == [0, -1]


def test_activations_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, original = [], module.gather_at

    def recorded(*arguments: Any) -> Any:
        activations.append(arguments[3].activation)
        return original(*arguments)

    monkeypatch.setattr(module, "gather_at", recorded)
    equalized(chain_task())
    assert activations == [None] * 3


def test_a_layer_may_have_one_output_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    equalize_layers(chain_task(hidden=1), np.random.default_rng(0))
    assert [profile.output for profile in spy.profiles] == [0, 1, -1]


@pytest.mark.parametrize(
    "change", [{"error": 0.0}, {"input_shares": np.zeros(6)}], ids=["no error", "no input"]
)
def test_a_layer_without_an_error_or_without_inputs_has_no_profile(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    original = module.round_alone
    monkeypatch.setattr(
        module, "round_alone", lambda *arguments: replace(original(*arguments), **change)
    )
    assert equalize_layers(chain_task(), np.random.default_rng(0)) is None


def test_a_layer_whose_importance_is_not_finite_has_no_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = module.round_alone
    monkeypatch.setattr(
        module,
        "round_alone",
        lambda weight, *rest: replace(original(weight, *rest), values=weight * np.float32(np.inf)),
    )
    assert equalize_layers(chain_task(), np.random.default_rng(0)) is None


def test_a_layer_whose_samples_cannot_be_gathered_has_no_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "gather_at", lambda *arguments: None)
    assert equalize_layers(chain_task(), np.random.default_rng(0)) is None


def test_memory_and_progress_are_shared_by_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, shown = [], []
    for name in ("Evaluators", "LayerActivations"):
        original = getattr(module, name)

        def recorded(
            samples: Any, resources: Any, share: float = 1.0, original: Any = original
        ) -> Any:
            shares.append(share)
            return original(samples, resources, share)

        monkeypatch.setattr(module, name, recorded)

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        shown.append((label, total))
        yield shown.append

    equalized(chain_task(progress=progress))
    assert shares == [0.5, 0.5]
    assert shown == [("equalization", 3), 1, 1, 1]


# One scale per layer


def scales(
    count: int, rows: dict[str, list[int]], columns: dict[str, list[int]], names: str
) -> tuple[list[int], int]:
    """The scale of each group of channels, and how many scales there are."""
    arrays = [{n: np.array(groups) for n, groups in kind.items()} for kind in (rows, columns)]
    numbers, found = _one_scale_per_layer(ChannelGroups(count, *arrays), set(names))
    return numbers.tolist(), found


def test_the_channels_of_a_layer_are_joined() -> None:
    rows, columns = {"a": [0, 1], "b": [2, 3]}, {"a": [-1, -1], "b": [0, 1]}
    assert scales(4, rows, columns, "ab") == ([0, 0, 1, 1, -1], 2)


def test_layers_that_share_a_group_are_joined_in_any_order() -> None:
    joined = ([0, 0, 0, 0, 1, -1], 2)
    assert scales(5, {"a": [0, 1], "b": [2, 3], "c": [1, 2]}, {}, "abc") == joined
    assert scales(5, {"c": [1, 2], "b": [2, 3], "a": [0, 1]}, {}, "abc") == joined


def test_a_channel_that_keeps_its_scale_fixes_the_layer() -> None:
    assert scales(4, {"a": [0, -1], "b": [1, 2]}, {}, "ab") == ([-1, 0, 0, 1, -1], 2)
    assert scales(4, {"a": [3, -1], "b": [0, 1]}, {}, "ab") == ([0, 0, 1, -1, -1], 2)


def test_a_weight_that_stays_float_fixes_its_outputs_and_inputs() -> None:
    rows, columns = {"a": [0, 1], "b": [2, 3]}, {"a": [4, 4], "b": [1, 4]}
    assert scales(5, rows, columns, "a") == ([-1] * 6, 0)
    assert scales(5, rows, {"a": [4, 4]}, "a") == ([0, 0, -1, -1, 1, -1], 2)
