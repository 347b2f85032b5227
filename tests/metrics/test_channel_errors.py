"""The relative errors of channels, worked by hand."""

import numpy as np
import pytest

from onnx_evoq.metrics import channel_errors
from onnx_evoq.metrics.output_layout import OutputLayout

UNLIKE = {"y": OutputLayout(channels=-2, power=np.array([4.0, 1.0]))}


def test_each_channel_has_its_error_over_all_batches() -> None:
    reference = [{"y": np.zeros((1, 2, 3))}, {"y": np.zeros((2, 2, 3))}]
    outputs = [{"y": part["y"].copy()} for part in reference]
    outputs[0]["y"][0, 0, 1] = 6.0
    outputs[1]["y"][1, 1, 2] = 3.0
    errors = channel_errors(iter(outputs), reference, UNLIKE)
    assert errors["y"] == pytest.approx([36 / 9 / 4, 9 / 9 / 1])


def test_channels_that_are_alike_have_one_error() -> None:
    layouts = {"y": OutputLayout(power=np.array([2.0]))}
    errors = channel_errors([{"y": np.ones((3, 4))}], [{"y": np.zeros((3, 4))}], layouts)
    assert errors["y"].tolist() == [0.5]


def test_only_outputs_of_floats_have_errors() -> None:
    part = {"label": np.arange(3), "y": np.zeros((3, 2))}
    layouts = {"y": OutputLayout(), "label": OutputLayout()}
    assert channel_errors([part], [part], layouts).keys() == {"y"}


def test_samples_may_differ_in_length() -> None:
    reference = [{"y": np.zeros((1, 2, 3))}, {"y": np.zeros((1, 2, 1))}]
    outputs = [{"y": np.ones((1, 2, 3))}, {"y": np.ones((1, 2, 1))}]
    assert channel_errors(outputs, reference, UNLIKE)["y"].tolist() == [0.25, 1.0]
