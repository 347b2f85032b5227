"""The codes of rows in parts, here or with workers."""

from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers
from graphs import random
from layer_problems import correlated, problem

from onnx_evoq.executors import HERE, Executor
from onnx_evoq.executors.tasks.threads import Threads
from onnx_evoq.quantize.closed_form.best_weight import factored
from onnx_evoq.quantize.grid import (
    MANY_COLUMNS,
    Hessian,
    RowGrid,
    SampleHessian,
    closest_codes,
    gptq_rounding,
)
from onnx_evoq.quantize.rows import row_codes as module
from onnx_evoq.quantize.rows.row_codes import codes_of_rows


def codes(
    executor: Executor,
    *,
    groups: int = 2,
    rows: int = 20,
    seed: int | None = None,
    limits: bool = False,
    few: bool = False,
    **options: Any,
) -> Any:
    """The codes of a layer of some groups, in parts of six rows.

    Args:
        executor: works on the parts.
        groups: of the layer.
        rows: of each.
        seed: of the restarts; None for none.
        limits: whether rows have limits of their own.
        few: whether the Hessian is that of a few positions.
        options: of `codes_of_rows`.
    """
    x = np.stack([correlated(200, 10, seed=seed) for seed in range(groups)]).astype(np.float64)
    weight = random(groups, rows, 10, seed=3, dtype="float64")
    hessian: Hessian = factored(x.transpose(0, 2, 1) @ x / 200, 0.01)
    if few:
        hessian = SampleHessian(x[:, :8].astype(np.float32), np.full(groups, 0.01))
    steps = np.linspace(0.4, 0.6, groups * rows).reshape(groups, rows, 1)
    low: Any = -4 if not limits else -4.0 + np.arange(groups * rows).reshape(steps.shape) % 3
    grid = RowGrid(steps, low, 3)
    rng = None if seed is None else np.random.default_rng(seed)
    given = {"descends": True, "restarts": 4, **options}
    return codes_of_rows(weight, hessian, grid, executor, rng=rng, **given)


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 6)
    monkeypatch.setattr(module, "_SECONDS_PER_ENTRY", 0.0)
    monkeypatch.setattr(module, "_SECONDS_PER_TASK", 0.0)


@pytest.mark.parametrize("options", [{}, {"seed": 1}, {"descends": False}])
def test_codes_are_the_same_wherever_they_are_found(
    far: FarWorkers, options: dict[str, Any]
) -> None:
    expected = codes(HERE, **options)
    assert expected.dtype == np.float64
    for executor in (Threads(3), far):
        np.testing.assert_array_equal(codes(executor, **options), expected)
    assert len(far.asked) == 4
    assert not far.homes  # any worker may do them


@pytest.mark.parametrize("groups_at_once", [1, 2])
@pytest.mark.parametrize("options", [{}, {"seed": 1}, {"limits": True}, {"few": True}])
def test_groups_that_are_much_work_are_parts_of_their_own(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch, groups_at_once: int, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "_PRODUCTS_AT_ONCE", groups_at_once * 6 * 10**2)
    monkeypatch.setattr(module, "_SECONDS_OF_TASK", 0.0)
    options = {"groups": 5, **options}
    expected = codes(HERE, **options)
    for executor in (Threads(3), far):
        np.testing.assert_array_equal(codes(executor, **options), expected)
    blocks = 1 if "few" in options else -(-5 // groups_at_once)
    assert len(far.asked) == blocks * 4
    # A worker needs H of its own groups only.
    assert len(far.homes) == (0 if "few" in options else blocks)
    monkeypatch.setattr(module, "_PRODUCTS_AT_ONCE", 1e9)
    assert (codes(HERE, **options) == expected).mean() > 0.8  # other draws, other restarts


def test_a_task_has_as_many_parts_as_take_some_time(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = codes(HERE, rows=100, seed=1)
    found = codes(far, rows=100, seed=1)  # 17 parts in a moment
    np.testing.assert_array_equal(found, expected)
    assert [len(asked.parts) for asked in far.asked] == [2] * 8 + [1]
    monkeypatch.setattr(module, "_SECONDS_OF_TASK", 1e-9)
    codes(far, rows=100, seed=1)
    assert [len(asked.parts) for asked in far.asked[9:]] == [1] * 17


@pytest.mark.parametrize(
    ("descends", "search"), [(True, closest_codes), (False, gptq_rounding)], ids=["all", "gptq"]
)
def test_the_codes_of_a_part_are_those_of_the_search(
    monkeypatch: pytest.MonkeyPatch, descends: bool, search: Any
) -> None:
    weight, hessian, grid = problem((2, 9, 30))
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 5)
    options: dict[str, Any] = {"descends": descends, "restarts": 0, "rng": None}
    found = codes_of_rows(weight, hessian, grid, HERE, **options)
    for rows in (np.arange(5), np.arange(5, 9)):
        np.testing.assert_array_equal(
            found[:, rows], search(weight[:, rows], hessian, grid.at(rows))
        )
    assert (closest_codes(weight, hessian, grid) != gptq_rounding(weight, hessian, grid)).any()


def test_what_parts_share_is_computed_before_they_begin() -> None:
    class Looks(Threads):
        def map(self, function: Any, tasks: Any) -> Any:
            known.append({"diagonal", "factor", "rounded"} <= vars(hessian).keys())
            return super().map(function, tasks)

    known: list[bool] = []
    weight, hessian, grid = problem((1, 12, 30))
    codes_of_rows(weight, hessian, grid, Looks(2), descends=True, restarts=0, rng=None)
    assert known == [True]


def test_a_task_takes_a_quarter_of_a_second_where_all_workers_have_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SECONDS_PER_TASK", 0.1)
    far = FarWorkers()
    assert module._parts_of_task(far, 1000, 10.0) == 25
    assert module._parts_of_task(far, 40, 1.0) == 5
    assert module._parts_of_task(far, 4, 10.0) == 1
    # Half of the seconds are saved, and eleven tasks take 1.1 s.
    assert module._pays(far, 21, 2, 2.21, 0)
    assert not module._pays(far, 21, 2, 2.19, 0)


def test_restarts_need_something_that_draws_them(far: FarWorkers) -> None:
    assert (codes(HERE) != codes(HERE, seed=1)).any()
    assert (codes(far, seed=1) != codes(far, seed=2)).any()


def test_one_part_and_little_work_stay_here(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes(far, rows=6)
    assert far.asked == []
    # Two workers save half of the time, if H of 2 * 10^2 entries and 4 tasks take less to send.
    saved = module._SECONDS_PER_PRODUCT * module._DESCENT_WITH_PAIRS * 2 * 20 * 100 / 2
    for name, number in (("_SECONDS_PER_ENTRY", 200), ("_SECONDS_PER_TASK", 4)):
        monkeypatch.setattr(module, name, 1.01 * saved / number)
        codes(far)
        assert far.asked == []
        monkeypatch.setattr(module, name, 0.99 * saved / number)
        codes(far)
        assert len(far.asked) == 4
        far.asked.clear()
        monkeypatch.setattr(module, name, 0.0)


def test_workers_help_only_where_they_are_more_than_the_threads_here() -> None:
    class FewWorkers(FarWorkers):
        near = Threads(2)

    for workers, tasks in ((2, 0), (3, 4)):
        executor = FewWorkers(workers)
        codes(executor)
        assert len(executor.asked) == tasks


def test_the_work_grows_with_descent_pairs_and_restarts() -> None:
    rounding, pairs = (module._seconds((2, 10, 100), descends, 0) for descends in (False, True))
    assert rounding < pairs < module._seconds((2, 10, 100), True, 4)
    assert module._seconds((2, 10, 100), False, 4) == rounding
    many = MANY_COLUMNS + 1
    wide, less_wide = (module._seconds((1, 1, many), d, 0) for d in (True, False))
    assert less_wide < wide < module._seconds((1, 1, many - 1), True, 0)


def test_rows_travel_with_their_tasks_and_the_hessian_once_to_each_worker(far: FarWorkers) -> None:
    codes(far)
    assert len({asked.problem.key for asked in far.asked}) == 1
    (problem,) = {asked.problem.key for asked in far.asked}
    assert far.sent.pop(problem) == far.workers
    rows = [asked.parts[0].best_weight.here[0].shape[1] for asked in far.asked]
    assert rows == [6, 6, 6, 2]
    assert list(far.sent.values()) == [1] * 4
