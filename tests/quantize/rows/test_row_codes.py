"""The codes of rows in parts, here or with workers."""

from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers
from graphs import random
from layer_problems import correlated

from onnx_evoq.executors import HERE, Executor
from onnx_evoq.executors.tasks.threads import Threads
from onnx_evoq.quantize.closed_form.best_weight import factored
from onnx_evoq.quantize.grid import RowGrid
from onnx_evoq.quantize.rows import row_codes as module
from onnx_evoq.quantize.rows.row_codes import codes_of_rows


def codes(executor: Executor, *, rows: int = 20, seed: int | None = None, **options: Any) -> Any:
    """The codes of a layer of two groups, in parts of six rows."""
    x = np.stack([correlated(200, 10, seed=seed) for seed in range(2)]).astype(np.float64)
    weight = random(2, rows, 10, seed=3, dtype="float64")
    hessian = factored(x.transpose(0, 2, 1) @ x / 200, 0.01)
    grid = RowGrid(np.full((2, rows, 1), 0.5), -4, 3)
    rng = None if seed is None else np.random.default_rng(seed)
    given = {"descends": True, "restarts": 4, **options}
    return codes_of_rows(weight, hessian, grid, executor, rng=rng, **given)


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 6)
    monkeypatch.setattr(module, "_MOST_PRODUCTS_NEAR", 0)


@pytest.mark.parametrize("options", [{}, {"seed": 1}, {"descends": False}])
def test_codes_are_the_same_wherever_they_are_found(
    far: FarWorkers, options: dict[str, Any]
) -> None:
    expected = codes(HERE, **options)
    assert expected.dtype == np.float64
    for executor in (Threads(3), far):
        np.testing.assert_array_equal(codes(executor, **options), expected)
    assert len(far.asked) == 4
    assert len(far.homes) == 1


def test_restarts_need_something_that_draws_them(far: FarWorkers) -> None:
    assert (codes(HERE) != codes(HERE, seed=1)).any()
    assert (codes(far, seed=1) != codes(far, seed=2)).any()


def test_one_part_and_little_work_stay_here(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes(far, rows=6)
    assert far.asked == []
    monkeypatch.setattr(module, "_MOST_PRODUCTS_NEAR", 2 * 20 * 100)
    codes(far)
    assert far.asked == []
    monkeypatch.setattr(module, "_MOST_PRODUCTS_NEAR", 2 * 20 * 100 - 1)
    codes(far)
    assert len(far.asked) == 4


def test_all_parts_name_one_problem(far: FarWorkers) -> None:
    codes(far)
    assert len({asked.problem.key for asked in far.asked}) == 1
    assert [(asked.start, asked.end) for asked in far.asked] == [
        (0, 6),
        (6, 12),
        (12, 18),
        (18, 20),
    ]
