"""The result of a job tells what was asked for, and what came of it."""

import numpy as np
from graphs import mlp

import onnx_evoq


def test_layers_of_weights_that_were_not_ranked_have_no_sensitivity():
    result = onnx_evoq.optimize(mlp(), bits=4, strategy="none")
    assert all(np.isnan(layer.sensitivity) for layer in result.layers)


def test_notes_on_what_was_asked_for_stand_in_the_result():
    result = onnx_evoq.optimize(mlp(), bits=4, strategy="none", max_drop=100)
    assert not any(np.isnan(layer.sensitivity) for layer in result.layers)
    assert result.stopped is None
