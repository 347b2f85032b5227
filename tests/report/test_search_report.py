"""The result of a search: its choice of a point, its notes, its table and its JSON."""

import json
import math
from dataclasses import replace

import pytest
from graphs import mlp, random
from searches import MIXED, UNIFORM, point, search_of

from onnx_evoq import optimize
from onnx_evoq.errors import BudgetError
from onnx_evoq.mixed_precision import Policy
from onnx_evoq.report import Result, search_text


@pytest.fixture(scope="module")
def quantized() -> Result:
    """A small model at 4 bits."""
    return optimize(mlp(), random(16, 4), bits=4, strategy="none")


# Picks


@pytest.mark.parametrize(
    ("budget", "packed"), [(2000, 2000), (2499, 2000), (2500, 2500), (7999, 7000), (10**9, 8000)]
)
def test_a_budget_picks_the_least_error_that_fits(budget: int, packed: int) -> None:
    assert search_of().pick(budget).packed_bytes == packed


def test_without_a_budget_the_least_error_is_picked() -> None:
    assert search_of().pick() is UNIFORM[-1]


@pytest.mark.parametrize(
    ("max_drop", "packed"), [(7.0, 2000), (6.9, 2500), (6.5, 2500), (3.0, 6000), (1.0, 8000)]
)
def test_a_drop_picks_the_smallest_that_loses_no_more(max_drop: float, packed: int) -> None:
    assert search_of().pick(max_drop=max_drop).packed_bytes == packed


def test_a_budget_and_a_drop_pick_the_smallest_that_keeps_both() -> None:
    assert search_of().pick(7000, 5.0).packed_bytes == 4000


def test_the_bytes_of_the_file_may_count() -> None:
    search = search_of(size="file")
    assert search.pick(5000).packed_bytes == 2500
    assert search.bytes_of(MIXED) == 5000


def test_a_budget_that_nothing_meets_names_the_smallest_size() -> None:
    with pytest.raises(BudgetError) as caught:
        search_of().pick(1999)
    assert str(caught.value) == (
        "model.onnx: the smallest packed size that was reached is 2000 bytes (2 kB), more than the "
        "budget of 1999 bytes: allow that much."
    )


def test_a_drop_that_nothing_meets_names_the_least_drop() -> None:
    with pytest.raises(BudgetError) as caught:
        search_of().pick(max_drop=0.5)
    assert str(caught.value) == (
        "model.onnx: no size drops by 0.5 percent or less: the least is 1 percent, at 8 kB."
    )


def test_within_a_budget_the_least_drop_is_named_too() -> None:
    with pytest.raises(BudgetError) as caught:
        search_of().pick(4000, 4.0)
    assert str(caught.value) == (
        "model.onnx: no size up to 4 kB drops by 4 percent or less: the least is 5 percent, at "
        "4 kB."
    )


# Budgets of models


@pytest.mark.parametrize(("size", "budget"), [("packed", None), ("packed", 90), ("file", 1000)])
def test_a_model_that_fits_its_budget_is_taken(
    quantized: Result, size: str, budget: int | None
) -> None:
    result = replace(quantized, packed_bytes=90, bytes_after=1000)
    search_of(size=size).check_budget(result, budget)


@pytest.mark.parametrize(("size", "budget", "taken"), [("packed", 89, 90), ("file", 999, 1000)])
def test_a_model_that_passes_its_budget_is_an_error_that_holds_both(
    quantized: Result, size: str, budget: int, taken: int
) -> None:
    result, search = replace(quantized, packed_bytes=90, bytes_after=1000), search_of(size=size)
    text = rf"takes {taken} bytes \({size}\), more than the budget of {budget}: allow that much"
    with pytest.raises(BudgetError, match=text) as caught:
        search.check_budget(result, budget)
    assert (caught.value.search, caught.value.result) == (search, result)


# Text


def test_the_table_has_a_row_per_point_with_a_star_for_the_front() -> None:
    lines = search_text(search_of()).splitlines()
    assert lines[0].split() == [
        "bits", "split", "steps", "packed", "file", "search", "held-out", "drop", "%",
    ]  # fmt: skip
    cells = [line.split() for line in lines[1:10]]
    assert cells[0] == [
        "*",
        "uniform",
        "2",
        "-",
        "-",
        "2",
        "kB",
        "4",
        "kB",
        "0.25",
        "0.375",
        "7.00",
    ]
    assert cells[1] == ["*", "2-5", "1", "1", "2.5", "kB", "5", "kB", "0.15", "0.225", "6.50"]
    assert cells[4][:2] == ["greedy", "2-8"]
    assert [row[0] for row in cells].count("*") == 8
    assert lines[10] == ""


def test_below_the_table_are_hypervolume_evaluations_and_time() -> None:
    lines = search_text(search_of()).splitlines()
    assert lines[-2:] == [
        "held-out hypervolume of this run: front 0.500, uniform 0.400, greedy 0.100",
        "768 evaluations in 12.3 s",
    ]


def test_by_file_the_rows_are_in_the_order_of_files() -> None:
    uniform = (point(2, 10, 0.5, file=900), point(3, 20, 0.25, file=800))
    search = search_of(size="file", front=uniform, uniform=uniform, greedy=())
    rows = search_text(search).splitlines()[1:3]
    assert [row.split()[2] for row in rows] == ["3", "2"]


@pytest.mark.parametrize("packed", [999, 999_499, 123_000_000])
@pytest.mark.parametrize("metric", ["mse", "metrics/" + "long_" * 20 + ".py:" + "f" * 40])
def test_no_line_passes_80_columns(packed: int, metric: str) -> None:
    points = tuple(
        point(Policy({"w" * 90: (2, 8)}, {"w" * 90: 0.5}), packed, error, drop=drop)
        for error, drop in ((1.2345e-300, 100.0), (-1.2345e-300, 1e120), (math.nan, -99.5))
    )
    text = search_text(search_of(front=points, uniform=points, greedy=points, metric=metric))
    assert max(map(len, text.splitlines())) <= 80


# JSON


def test_json_holds_all_points() -> None:
    values = search_of().to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert list(values) == [
        "model", "metric", "scored_at", "size", "seed", "front", "uniform", "greedy", "hypervolume",
        "evaluations", "seconds", "stopped", "notes", "history",
    ]  # fmt: skip
    assert values["front"][1] == {
        "bits": {"a": 3, "b": [2, 5]}, "expansion": {"a": 0.125}, "granularity": {"b": "channel"},
        "packed_bytes": 2500, "file_bytes": 5000, "search": 0.15, "heldout": pytest.approx(0.225),
        "drop": 6.5, "nmse": 0.15,
    }  # fmt: skip
    assert (len(values["front"]), len(values["uniform"]), len(values["greedy"])) == (8, 7, 1)


def test_nan_is_null_in_json() -> None:
    values = search_of(
        front=(replace(MIXED, search=float("nan")),), hypervolume={"front": float("nan")}
    ).to_dict()
    assert values["front"][0]["search"] is None
    assert values["hypervolume"] == {"front": None}
