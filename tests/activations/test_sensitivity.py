"""Each activation alone is scored by what its grid does to the outputs."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from graphs import run
from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.activations.sensitivity import activation_sensitivity
from onnx_evoq.run import NO_DEADLINE, Deadline


def test_the_score_of_the_input_is_that_of_a_rounded_input() -> None:
    task, activations = conv_task(), quantized_conv_net(4)
    scale = next(t.scale for t in activations.tensors if t.name == "x")
    coarse = activations.with_grids({scale: replace(activations.grids[scale], scale=1.0, bits=3)})
    found = activation_sensitivity(coarse, task.search_set, NO_DEADLINE)
    x = np.concatenate([batch.feed["x"] for batch in task.search_set.batches])
    grid = coarse.grids[scale]
    floats, rounded = (
        run(activations.float_model, {"x": each})["logits"]
        for each in (x, grid.values(x).astype(np.float32))
    )
    assert found["x"] == pytest.approx(float(np.square(rounded - floats).mean()), rel=1e-3)
    assert found.keys() == {tensor.name for tensor in activations.tensors}


def test_without_time_nothing_is_scored() -> None:
    found = activation_sensitivity(quantized_conv_net(4), conv_task().search_set, Deadline(0.0))
    assert all(isnan(value) for value in found.values())
