"""The samples that a model is scored on."""

import numpy as np
import pytest
from graphs import mlp, model_of, node, random

from onnx_evoq.data import Data
from onnx_evoq.errors import ModelError
from onnx_evoq.model import load
from onnx_evoq.setup import find_samples


def test_data_are_read_and_inputs_drawn_without_them() -> None:
    model, rng = load(mlp()), np.random.default_rng(0)
    rows = random(5, 4)
    assert np.array_equal(find_samples(model, "m.onnx", Data(rows), rng).inputs["x"], rows)
    assert find_samples(model, "m.onnx", Data(samples=3), rng).inputs["x"].shape == (3, 4)


def test_a_model_without_inputs_is_refused() -> None:
    model = model_of([node("Identity", ["w"], ["y"])], {}, {"y": None}, {"w": random(2)})
    with pytest.raises(ModelError, match="takes no inputs, so that there is nothing to score it"):
        find_samples(load(model), "m.onnx", Data(), np.random.default_rng(0))
