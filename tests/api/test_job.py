"""What the jobs have in common."""

import numpy as np
from graphs import conv_net, random

from onnx_evoq.api.job import prepare_job
from onnx_evoq.progress import silent
from onnx_evoq.setup import DEFAULT_RESOURCES, open_float_model


def test_a_job_has_the_model_and_what_judges_it() -> None:
    float_model = open_float_model(conv_net(), ["w2"])
    job = prepare_job(
        float_model, "mine", random(40, 3, 8, 8), "mse", 0.25, np.random.default_rng(0),
        DEFAULT_RESOURCES, silent,
    )  # fmt: skip
    assert job.source == "mine"
    assert [weight.name for weight in job.float_model.weights] == ["w1", "w3"]
    assert (job.calibration.search.samples, job.calibration.heldout.samples) == (30, 10)


def test_notes_of_the_samples_and_of_the_model_are_joined() -> None:
    float_model = open_float_model(conv_net(), ())
    job = prepare_job(
        float_model, "mine", random(8, 3, 8, 8), "mse", 0.25, np.random.default_rng(0),
        DEFAULT_RESOURCES, silent,
    )  # fmt: skip
    assert job.notes == (*job.calibration.notes, *job.float_model.notes)
    assert any("too few" in note for note in job.notes)
