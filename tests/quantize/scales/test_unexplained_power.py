"""The power that other columns do not explain, against regressions by hand."""

import numpy as np
from graphs import random

from onnx_evoq.quantize import unexplained_power
from onnx_evoq.quantize.closed_form import ROUNDING_DAMPING


def test_independent_columns_keep_their_power() -> None:
    power = np.array([3.0, 1.0, 2.0])
    found = unexplained_power(np.diag(power)[None])
    np.testing.assert_allclose(found, power[None] + ROUNDING_DAMPING * power.mean())


def test_a_column_is_explained_by_those_of_less_power() -> None:
    x = random(50, 4).astype(np.float64) * [1, 4, 2, 3]
    x[:, 0] += x[:, 1]
    hessian = x.T @ x / 50
    found = unexplained_power(hessian[None])[0]
    damped = hessian + ROUNDING_DAMPING * np.trace(hessian) / 4 * np.eye(4)
    order = np.argsort(np.diag(damped))
    for place, column in enumerate(order):
        less = order[:place]
        left = damped[column, column]
        if less.size:
            across = damped[column, less]
            left -= across @ np.linalg.solve(damped[np.ix_(less, less)], across)
        np.testing.assert_allclose(found[column], left)


def test_groups_do_not_explain_each_other() -> None:
    one = np.array([[1.0, 0.9], [0.9, 1.0]])
    both = unexplained_power(np.stack([one, np.diag([2.0, 1.0])]))
    np.testing.assert_allclose(both[0], unexplained_power(one[None])[0])


def test_a_group_without_power_counts_nothing() -> None:
    found = unexplained_power(np.stack([np.zeros((2, 2)), np.eye(2)]))
    np.testing.assert_allclose(found, [[0, 0], [1 + ROUNDING_DAMPING] * 2])
    assert not unexplained_power(np.zeros((1, 3, 3))).any()
