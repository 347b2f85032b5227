"""An open model, and the samples that score it."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from graphs import conv_net, model_of, node, random
from selecting_nets import two_stages

from onnx_evoq.api.job import prepare_job
from onnx_evoq.api.job.open_job import Job
from onnx_evoq.errors import ModelError
from onnx_evoq.model.outputs import dependence
from onnx_evoq.progress import silent
from onnx_evoq.setup import DEFAULT_RESOURCES, open_float_model


def test_a_job_has_the_model_and_the_samples() -> None:
    float_model = open_float_model(conv_net(), ["w2"])
    job = prepare_job(
        float_model, "mine", random(40, 3, 8, 8), "mse", 0.25, np.random.default_rng(0),
        DEFAULT_RESOURCES, silent,
    )  # fmt: skip
    assert job.source == "mine"
    assert [weight.name for weight in job.float_model.weights] == ["w1", "w3"]
    assert (job.calibration.search_set.samples, job.calibration.heldout_set.samples) == (30, 10)


def test_notes_of_the_samples_and_of_the_model_are_joined() -> None:
    float_model = open_float_model(conv_net(), ())
    job = prepare_job(
        float_model, "mine", random(8, 3, 8, 8), "mse", 0.25, np.random.default_rng(0),
        DEFAULT_RESOURCES, silent,
    )  # fmt: skip
    assert job.notes == (*job.calibration.notes, *job.float_model.notes)
    assert any("too few" in note for note in job.notes)


def test_another_form_of_the_model_keeps_the_samples() -> None:
    float_model = open_float_model(conv_net(), ())
    job = prepare_job(
        float_model, "mine", random(8, 3, 8, 8), "mse", None, np.random.default_rng(0),
        DEFAULT_RESOURCES, silent,
    )  # fmt: skip
    other = open_float_model(conv_net(), ["w2"])
    changed = job.with_float_model(other)
    assert changed.float_model is other
    assert (changed.calibration, changed.source) == (job.calibration, "mine")


def test_folding_that_changes_the_outputs_is_undone() -> None:
    model = conv_net()
    float_model = open_float_model(model, ())
    broken = replace(float_model, model=open_float_model(conv_net(), ()).model)
    values = onnx.numpy_helper.to_array(broken.model.graph.initializer[0]) * 2
    broken.model.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(values, broken.model.graph.initializer[0].name)
    )
    job = prepare_job(
        broken, "mine", random(40, 3, 8, 8), "mse", 0.25, np.random.default_rng(0),
        DEFAULT_RESOURCES, silent,
    )  # fmt: skip
    assert job.float_model.model is broken.reference
    assert job.notes == job.float_model.notes != ()


def test_a_custom_operator_that_chooses_rows_is_found_by_running_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if Compress were an operator that only the user's library knows.
    monkeypatch.setattr(dependence, "is_known", lambda node: node.op_type != "Compress")
    monkeypatch.setattr(dependence, "shape_inputs", lambda node: frozenset[int]())
    monkeypatch.setattr(dependence, "index_inputs", lambda node: frozenset[int]())
    float_model = open_float_model(two_stages(), ())
    assert float_model.points.names == ("y",)
    x, rng = random(24, 4), np.random.default_rng(0)
    job = prepare_job(float_model, "m", x, "auto", 0.25, rng, DEFAULT_RESOURCES, silent)
    assert job.float_model.points.names == ("h",)
    assert [weight.name for weight in job.float_model.behind] == ["head"]
    chosen = open_float_model(two_stages(), (), score_at=["y"])
    with pytest.raises(ModelError, match="'y' changes its shape"):
        prepare_job(chosen, "m", x, "auto", 0.25, rng, DEFAULT_RESOURCES, silent)


def test_outputs_that_say_nothing_are_noted() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Softmax", ["a"], ["y"], axis=0)]
    model = model_of(nodes, {"x": [1, 4]}, {"y": None}, {"w": random(4, 3)})

    def job(x: np.ndarray) -> Job:
        return prepare_job(
            open_float_model(model, ()), "mine", x, "mse", 0.25, np.random.default_rng(0),
            DEFAULT_RESOURCES, silent,
        )  # fmt: skip

    found = job(random(40, 4))
    assert found.unmoved == ("y",)
    assert any(
        note.startswith("the weights have no effect on output 'y' with these inputs")
        for note in found.notes
    )
    model.graph.node[1].attribute[0].i = 1
    assert job(random(40, 4)).unmoved == ()
    (note,) = job(np.repeat(random(1, 4), 40, axis=0)).notes_on_outputs
    assert note.startswith("all 30 samples give the same output 'y'")
