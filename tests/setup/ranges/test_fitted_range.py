"""The range of inputs that fits the statistics of BatchNormalization nodes best."""

import numpy as np
import pytest
from graphs import model_of, node, random
from onnx import ModelProto

from onnx_evoq.data import InputPlan, Noise
from onnx_evoq.model import input_specs, load
from onnx_evoq.setup import DEFAULT_RESOURCES
from onnx_evoq.setup.ranges.fitted_range import Fit, fitted_range

IMAGE = Noise(image=True, channel_axis=-3)


def trained_on(low: float, high: float, channels: int = 1) -> ModelProto:
    """x (n, channels, 16, 16) -> Conv -> BatchNormalization -> y, with statistics of that range."""
    kernel = random(6, channels, 3, 3, seed=1)
    middle, deviation = (low + high) / 2, (high - low) / 4
    # Pixels of an image are nearly alike, so that a kernel gives about its sum.
    sums = kernel.sum((1, 2, 3))
    weights = {
        "k": kernel, "one": np.ones(6, np.float32), "zero": np.zeros(6, np.float32),
        "m": middle * sums, "v": (deviation * sums) ** 2,
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "k"], ["c"]),
        node("BatchNormalization", ["c", "one", "zero", "m", "v"], ["y"]),
    ]
    return load(model_of(nodes, {"x": ["n", channels, 16, 16]}, {"y": None}, weights))


def fit(model: ModelProto, noise: Noise = IMAGE, most: int = 9999) -> Fit | None:
    plan = InputPlan("x", np.dtype("float32"), (1, 16, 16), noise)
    return fitted_range(model, input_specs(model), [plan], most, DEFAULT_RESOURCES)


@pytest.mark.parametrize("limits", [(0, 1), (-1, 1), (0, 255), (-128, 127)])
def test_the_range_of_the_training_data_fits_best(limits: tuple[float, float]) -> None:
    found = fit(trained_on(*limits))
    assert found is not None
    assert found.plans[0].values == IMAGE.within(*limits)


def test_standardized_numbers_stay_as_they_are() -> None:
    found = fit(trained_on(-2, 2))
    assert found is not None
    assert found.plans[0].values == IMAGE


def test_a_range_far_from_all_usual_ones_fits_badly() -> None:
    near, far = fit(trained_on(0, 1)), fit(trained_on(-9000, -8000))
    assert near is not None
    assert far is not None
    assert near.misfit < 0.5 < 2 < far.misfit


def test_without_such_nodes_or_without_time_nothing_is_said() -> None:
    plain = load(model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 1, 16, 16]}, {"y": None}, {}))
    assert fit(plain) is None
    assert fit(trained_on(0, 1), most=3) is None
    assert fit(trained_on(0, 1), IMAGE.within(0, 9)) is None
