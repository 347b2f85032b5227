"""What is found of each output."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.metrics.output_layout import OutputLayout, output_layouts
from onnx_evoq.signature import OutputHint


def test_each_output_of_numbers_has_a_layout() -> None:
    outputs = {"y": random(4, 3), "k": np.arange(4), "text": np.array(["a"] * 4)}
    assert output_layouts([outputs], {}).keys() == {"y", "k"}


def test_power_is_broadcast_along_the_axis_of_channels() -> None:
    layout = OutputLayout(channels=-3, power=np.array([1.0, 2.0]))
    assert layout.power_of_values.shape == (2, 1, 1)
    assert OutputLayout().power_of_values.shape == (1,)


def test_hints_are_taken_by_name() -> None:
    outputs = {"y": random(4, 6, 5), "z": random(4, 6, 5)}
    found = output_layouts([outputs], {"y": OutputHint(frozenset([6]))})
    assert (found["y"].classes, found["z"].classes) == (-2, -1)


def test_the_graph_names_the_axis_of_channels_too() -> None:
    y = random(20, 8, 6) * np.geomspace(1, 30, 8)[:, None]
    assert output_layouts([{"y": y}], {})["y"].channels is None
    assert output_layouts([{"y": y}], {"y": OutputHint(frozenset([8]))})["y"].channels == -2


def test_classes_are_alike_however_seldom_some_are() -> None:
    logits = random(50, 3) * [10, 1, 1]
    powers = np.exp(logits)
    assert output_layouts([{"y": logits}], {})["y"].channels == -1
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    layout = output_layouts([{"y": probabilities}], {})["y"]
    assert (layout.probabilities, layout.channels) == (True, None)
    assert output_layouts([{"y": np.log(probabilities)}], {})["y"].channels is None


def test_outputs_of_any_length_have_one_power() -> None:
    parts = [np.random.default_rng(k).normal(0, 2, (2, k)) for k in (3, 5, 40)]
    layout = output_layouts([{"y": part} for part in parts], {})["y"]
    assert layout.channels is None
    assert layout.power.shape == (1,)
    assert layout.power[0] == pytest.approx(4, rel=0.5)


def test_a_sample_that_lost_its_axis_of_one_does_not_count() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 1, (1, nodes, 2)) * [100, 1] for nodes in (5, 9)]
    alone = rng.normal(0, 1, (1, 2))  # a graph of one node
    layout = output_layouts([{"y": part} for part in (alone, *parts)], {})["y"]
    assert layout.channels == -1
    assert layout.power[0] > 1000 * layout.power[1]
