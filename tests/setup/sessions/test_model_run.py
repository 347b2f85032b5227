"""Models are loaded with the user's options, and run batch by batch."""

import numpy as np
import pytest
from graphs import mlp, model_of, node, proto, random, rounded, run
from integer_nets import quantized_conv_net

from onnx_evoq.batch import make_batches
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.model import as_network, input_specs, load, opset_of, serialize, with_codes
from onnx_evoq.setup import Resources, run_model
from onnx_evoq.setup.sessions import model_run as module
from onnx_evoq.setup.sessions.model_run import (
    not_finite,
    open_session,
    own_options,
    with_integer_weights,
)

MODEL = load(mlp(opset=17))
X = random(7, 4)
BATCHES = make_batches({"x": X}, input_specs(MODEL), 3)


def test_each_batch_gives_the_outputs_of_its_samples() -> None:
    parts = list(run_model(MODEL, BATCHES))
    assert [len(part["logits"]) for part in parts] == [3, 3, 1]
    outputs = np.concatenate([part["logits"] for part in parts])
    np.testing.assert_allclose(outputs, run(mlp(), {"x": X})["logits"], rtol=1e-5)


def test_a_batch_is_run_when_it_is_asked_for() -> None:
    asked = []

    def batches() -> object:
        for index, batch in enumerate(BATCHES):
            asked.append(index)
            yield batch

    next(run_model(MODEL, batches(), Resources(workers=1)))  # type: ignore[arg-type]
    assert asked == [0]


def test_options_and_names_reach_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(module, "Session", lambda *arguments: given.append(arguments))
    monkeypatch.setattr(module, "predict", lambda *arguments: arguments)
    resources = Resources(["cpu"], workers=3)
    assert run_model(MODEL, BATCHES, resources, "m.onnx", {"a": "b"}) == (None, BATCHES, 3)
    network = as_network(MODEL).with_values({"second": random(3, 6, seed=9)})
    open_session(network, resources, "m.onnx", {"a": "b"})
    assert given[0] == (serialize(MODEL), "m.onnx", ["cpu"], {"a": "b"}, 1, {}, (), (), "", False)
    content, *same, values, _, _, _, _ = given[1]
    assert same == ["m.onnx", ["cpu"], {"a": "b"}, 1]
    assert len(content) < len(serialize(MODEL))
    assert list(values) == ["second"]


@pytest.mark.parametrize(("providers", "threads"), [(None, 1), (["cpu"], 1), (["gpu"], None)])
def test_a_run_uses_one_core_of_the_cpu_or_all_of_another_device(
    monkeypatch: pytest.MonkeyPatch, providers: list[str] | None, threads: int | None
) -> None:
    given = []
    monkeypatch.setattr(module, "Session", lambda *arguments: given.append(arguments[4]))
    open_session(MODEL, Resources(providers))
    assert given == [threads]


def test_a_network_gives_the_outputs_of_its_values() -> None:
    network = with_codes(MODEL, rounded(MODEL, 3))
    outputs = np.concatenate([part["logits"] for part in run_model(network, BATCHES)])
    expected = run(proto(network), {"x": X})["logits"]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_a_provider_that_is_not_there_is_refused() -> None:
    with pytest.raises(OptionError, match="provider 'abacus' is not available"):
        open_session(MODEL, Resources(["abacus"]))


def test_a_model_that_fails_is_named() -> None:
    feed = make_batches({"x": X[:, :3]}, input_specs(MODEL), 3)
    with pytest.raises(ModelError, match=r"^m\.onnx: fails on x float32\[3, 3\]"):
        next(run_model(MODEL, feed, name="m.onnx"))


def test_a_model_of_integer_activations_is_scored_on_its_kernels() -> None:
    assert own_options(quantized_conv_net().simulated) == {}
    assert own_options(MODEL) == {"session.disable_quant_qdq": "1"}


def test_outputs_that_are_no_numbers_are_counted() -> None:
    values = np.array([[1.0, np.nan], [1.0, 2.0], [1.0, np.inf]])
    outputs = {"y": values, "k": np.array([1, 2, 3]), "z": np.ones((3, 1))}
    parts = [{name: array[rows] for name, array in outputs.items()} for rows in ([0], [1, 2])]
    (note,) = not_finite(parts, "m.onnx")
    assert note.startswith("m.onnx: output 'y' is NaN or infinite for 2 of 3 samples")


def test_samples_with_several_bad_values_count_once() -> None:
    (note,) = not_finite([{"y": np.array([[[np.nan, np.inf]], [[0.0, 1.0]]])}], "m.onnx")
    assert "for 1 of 2 samples" in note


def test_a_model_whose_integer_weights_cannot_run_gets_an_older_operator_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_dequantizes", lambda opset: opset <= 15)
    changed, (note,) = with_integer_weights(MODEL, "m.onnx")
    assert opset_of(changed) == 15
    assert "from operator set 17 to 15, the newest in which" in note
    np.testing.assert_array_equal(
        run(changed, {"x": X})["logits"], run(MODEL, {"x": X})["logits"], strict=True
    )


def test_a_model_that_needs_its_operator_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_dequantizes", lambda opset: opset <= 15)
    nodes = [node("LayerNormalization", ["x", "w"], ["y"])]  # new in 17
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4)})
    with pytest.raises(ModelError, match="uses what 15 lacks: export it with 15 or older, or"):
        with_integer_weights(model, "m.onnx")


def test_a_model_that_onnx_runtime_can_take_stays_as_it_is() -> None:
    assert with_integer_weights(MODEL, "m.onnx") == (MODEL, [])


def test_a_model_older_than_integer_weights_stays_as_it_is() -> None:
    model = load(mlp(opset=9))
    assert with_integer_weights(model, "m.onnx") == (model, [])
