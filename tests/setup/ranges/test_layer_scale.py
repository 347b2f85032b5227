"""The range of images by the size of what the first layer makes of them."""

import numpy as np
import pytest
from graphs import model_of, node, random
from onnx import ModelProto

from onnx_evoq.data import InputPlan, Noise
from onnx_evoq.model import input_specs, load
from onnx_evoq.setup import DEFAULT_RESOURCES
from onnx_evoq.setup.ranges.layer_scale import range_by_scale

IMAGE = Noise(image=True, channel_axis=-3)


def network(size: float, *, normalized: bool = False) -> ModelProto:
    """x (n, 1, 16, 16) -> Conv that makes numbers of some size of standardized images -> y."""
    kernel = random(8, 1, 3, 3)
    kernel *= size / np.median(np.abs(kernel.sum((1, 2, 3))))  # neighbours are nearly alike
    nodes, ones = [node("Conv", ["x", "k"], ["y" if not normalized else "c"])], np.ones(8, "f")
    if normalized:
        nodes.append(node("BatchNormalization", ["c", "one", "one", "one", "one"], ["y"]))
    weights = {"k": kernel, "one": ones}
    return load(model_of(nodes, {"x": ["n", 1, 16, 16]}, {"y": None}, weights))


def limits(model: ModelProto, noise: Noise = IMAGE) -> tuple[float, float] | None:
    plan = InputPlan("x", np.dtype("float32"), (1, 16, 16), noise)
    plans = range_by_scale(model, input_specs(model), [plan], DEFAULT_RESOURCES)
    if plans is None:
        return None
    assert isinstance(plans[0].values, Noise)
    return plans[0].values.low, plans[0].values.high


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0.8, None), (0.2, None), (2.2, (-1, 1)), (4.5, (0, 1)), (0.012, (0, 255)), (1e-5, None)],
)
def test_numbers_of_about_1_are_expected(size: float, expected: tuple[float, float] | None) -> None:
    assert limits(network(size)) == expected


def test_nothing_is_said_of_other_inputs_and_layers() -> None:
    assert limits(network(4.5, normalized=True)) is None, "BatchNormalization takes any size"
    assert limits(network(4.5), IMAGE.within(0, 9)) is None
    assert limits(network(4.5), Noise()) is None
    relu = load(model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 1, 16, 16]}, {"y": None}, {}))
    assert limits(relu) is None
