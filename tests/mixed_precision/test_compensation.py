"""What layers behind make up for."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from graphs import conv_net, fire, mlp, random, recurrent, task_of

from onnx_evoq.mixed_precision import compensation as compensation
from onnx_evoq.mixed_precision.compensation import uncompensated_shares
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.point import build_point
from onnx_evoq.mixed_precision.space import WIDTHS
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.run import Deadline
from onnx_evoq.setup.task import Task


@cache
def case(name: str = "conv") -> tuple[Task, LayerTable]:
    model, x = {
        "mlp": (load(mlp()), random(64, 4, seed=9)),
        "conv": (fold_batch_norm(load(conv_net()))[0], random(64, 3, 8, 8, seed=9)),
        "fire": (load(fire()), random(48, 2, 6, 6, seed=9)),
        "recurrent": (load(recurrent()), np.random.default_rng(0).integers(0, 7, size=(24, 5))),
    }[name]
    task = task_of(model, x[8:], x[:8])
    return task, build_layer_table(task, np.random.default_rng(0), True, False, False)


@pytest.mark.parametrize("name", ["mlp", "conv", "fire", "recurrent"])
def test_each_part_has_a_share_at_each_width(name: str) -> None:
    task, found = case(name)
    left = uncompensated_shares(task, found)
    assert left.shape == (len(found.space.parts), len(WIDTHS))
    assert (left > 0).all()
    assert np.isfinite(left).all()


def test_nothing_repairs_the_last_layer_and_something_the_first() -> None:
    left = uncompensated_shares(*case())
    typical = WIDTHS.index(4)  # the width at which harm was measured
    assert left[-1, typical] == pytest.approx(1, rel=1e-3)
    assert left[0, typical] < 0.9


def test_harm_that_is_left_adds_up_to_the_error_of_a_model_built_in_turn() -> None:
    task, found = case()
    counted = replace(
        found, sensitivity=found.sensitivity * uncompensated_shares(task, found)[:, None]
    )
    for bits in (3, 4):
        genome = found.space.uniform(bits)
        built = build_point(task, found.space.policy(genome), 0, lambda _: 0.0).nmse
        plain, repaired = (np.log(each.guess(genome) / built) for each in (found, counted))
        assert abs(repaired) < abs(plain)
        assert abs(repaired) < 0.4


def test_widths_above_those_that_are_measured_have_the_share_of_the_widest() -> None:
    left = uncompensated_shares(*case())
    widest = WIDTHS.index(4)
    assert (left[:, widest:] == left[:, [widest]]).all()


def test_without_time_all_harm_is_left() -> None:
    task, found = case()
    left = uncompensated_shares(replace(task, deadline=Deadline(0.0)), found)
    assert (left == 1).all()


def test_layers_that_time_did_not_suffice_for_have_the_share_of_the_nearest() -> None:
    left = np.full((4, len(WIDTHS)), np.nan)
    left[2:, 2] = [0.5, 1.0]  # 4 bits
    compensation._fill(left)
    assert left.tolist() == [[0.5] * 7] * 3 + [[1.0] * 7]


def test_the_same_each_time() -> None:
    task, found = case()
    np.testing.assert_array_equal(
        uncompensated_shares(task, found), uncompensated_shares(task, found)
    )
