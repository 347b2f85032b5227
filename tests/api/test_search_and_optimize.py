"""Search for widths, pick a point of the front, and optimize it."""

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from calls import grouped
from graphs import conv_net, fire, mlp, random
from onnx import ModelProto
from searches import shorten, shorten_tuning

import onnx_evoq
from onnx_evoq import (
    BudgetError,
    EvoqError,
    Grid,
    MixedPrecision,
    OptionError,
    ParetoPoint,
    Policy,
    Search,
    SearchSpace,
)
from onnx_evoq.model import serialize
from onnx_evoq.record import about_run, checked_text, kept_run
from onnx_evoq.run import Stopped

X = random(32, 4, seed=5)
MODULE = sys.modules["onnx_evoq.api.search_and_optimize"]  # the function has its name


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Searches of two generations."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        yield


def found_for(**options: Any) -> MixedPrecision:
    """A search, and the chosen point, optimized without a search of codes."""
    usual = {"time_budget": None, "tune_budget": 1e-6}
    return onnx_evoq.search_and_optimize(mlp(), X, **grouped(**{**usual, **options}))


@pytest.fixture(scope="module")
def searched(short: None) -> MixedPrecision:
    """A search without a choice."""
    return found_for()


@pytest.fixture(scope="module")
def within_budget(short: None) -> MixedPrecision:
    """A search whose point for 100 bytes was optimized; its held-out set is small."""
    return found_for(budget=100, holdout=0.1)


def test_without_a_budget_nothing_is_chosen(searched: MixedPrecision) -> None:
    assert searched.search is not None
    assert (searched.chosen, searched.result) == (None, None)
    assert searched.notes == searched.search.notes


def test_a_budget_picks_the_point_of_the_front_that_fits(within_budget: MixedPrecision) -> None:
    found = within_budget
    assert found.search is not None
    assert found.chosen == found.search.pick(100)
    assert found.result is not None
    assert found.result.packed_bytes == found.chosen.packed_bytes <= 100


def test_a_point_is_optimized_alike_without_a_search(within_budget: MixedPrecision) -> None:
    again = found_for(policy=within_budget.chosen, holdout=0.1)
    assert again.chosen is within_budget.chosen
    assert again.result is not None
    assert within_budget.result is not None
    assert serialize(again.result.model) == serialize(within_budget.result.model)


def test_one_granularity_of_the_grid_holds_for_the_search_and_the_result() -> None:
    found = found_for(budget=10_000, granularity="channel", time_budget=1e-3)
    assert found.result is not None
    assert found.result.granularity == "channel"


def test_a_policy_without_granularities_has_one_step_per_tensor() -> None:
    policy = {"bits": {"first": 4, "second": 4}}
    found = found_for(policy=policy)
    assert found.chosen == Policy({"first": 4, "second": 4})
    assert found.result is not None
    assert found.result.granularity == "tensor"
    channels = found_for(policy=policy, granularity="channel").result
    assert channels is not None
    assert channels.granularity == "channel"


def test_a_drop_picks_a_point_and_a_saved_choice_repeats_it(tmp_path: Path) -> None:
    found = found_for(max_drop=50.0)
    assert found.search is not None
    assert found.chosen == found.search.pick(max_drop=50.0)
    found.save_policy(tmp_path / "policy.json")
    again = found_for(policy=tmp_path / "policy.json", max_drop=50.0)
    assert again.search is None
    assert found.result is not None
    assert again.result is not None
    assert serialize(again.result.model) == serialize(found.result.model)


def test_a_budget_that_nothing_fits_carries_the_front() -> None:
    with pytest.raises(BudgetError, match="more than the budget of 1 bytes") as caught:
        found_for(budget=1, time_budget=1e-3)
    assert caught.value.search.front


def test_a_policy_and_a_budget_are_two_choices() -> None:
    with pytest.raises(EvoqError, match="leave the budget out"):
        found_for(budget=1000, policy={"bits": {"first": 4, "second": 4}})


def test_notes_of_search_and_optimization_are_there_once(within_budget: MixedPrecision) -> None:
    notes = within_budget.notes
    assert sum("which is too few" in note for note in notes) == 1
    assert any("the time budget cut the search short" in note for note in notes)


def test_a_budget_and_a_drop_that_no_model_holds_together_are_an_error() -> None:
    x = random(200, 4, seed=5)
    found = onnx_evoq.search_and_optimize(
        mlp(), x, budget=65, max_drop=100.0, time_budget=1e-3, tune_budget=1e-6
    )
    assert found.result is not None
    assert found.result.packed_bytes <= 65
    with pytest.raises(BudgetError, match="drops by 0 percent or less: the least is"):
        onnx_evoq.search_and_optimize(mlp(), x, budget=50, max_drop=0.0, time_budget=1e-3)


@pytest.mark.parametrize(
    ("make", "granularity"),
    [(mlp, "tensor"), (mlp, "channel"), (conv_net, "tensor"), (fire, "channel")],
)
def test_the_size_of_a_point_is_that_of_its_file(
    make: Callable[[], ModelProto], granularity: str
) -> None:
    model = make()
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    # Without a limit, points with split channels are among those to choose from.
    time_budget = None if make is mlp else 1e-3
    found = onnx_evoq.search_and_optimize(
        model, random(16, *shape), budget=10**6, time_budget=time_budget, tune_budget=1e-6,
        seed=123, grid=Grid(granularity=granularity), space=SearchSpace(size="file"),
    )  # fmt: skip
    assert isinstance(found.chosen, ParetoPoint)
    assert found.result is not None
    assert found.chosen.file_bytes == found.result.bytes_after
    assert found.chosen.packed_bytes == found.result.packed_bytes


def test_the_defaults_are_those_of_the_documentation() -> None:
    parameters = inspect.signature(onnx_evoq.search_and_optimize).parameters
    names = ("time_budget", "holdout", "seed", "metric")
    assert tuple(parameters[name].default for name in names) == (600.0, 0.25, 0, "auto")
    assert parameters["tune_budget"].default is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"budget": "8kB"}, "budget '8kB' is no whole number"),
        ({"budget": 8000, "tune_budget": "5s"}, "tune_budget '5s' is no number"),
        ({"max_drop": 200.0}, "max_drop 200.0 is no percentage"),
    ],
)
def test_options_are_checked_before_the_search(options: dict[str, Any], text: str) -> None:
    def no_search(label: str, total: float) -> Any:
        raise AssertionError(label)

    with pytest.raises(EvoqError, match=text):
        onnx_evoq.search_and_optimize(mlp(), random(16, 4), progress=no_search, **options)


def test_after_an_interrupted_search_its_point_is_chosen_and_not_optimized(
    searched: MixedPrecision, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = replace(searched.search, stopped=Stopped.INTERRUPT)
    monkeypatch.setattr(MODULE, "search_bits", lambda *arguments, **options: stopped)
    found = found_for(budget=100)
    assert found.search is stopped
    assert found.chosen is not None
    assert found.result is None
    assert found.notes[-1].startswith("interrupted before the chosen point was optimized")


def test_an_interrupt_before_the_first_layer_of_the_point_keeps_the_search(
    searched: MixedPrecision, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "search_bits", lambda *arguments, **options: searched.search)
    monkeypatch.setattr(MODULE, "optimize", interrupted)
    found = found_for(budget=100)
    assert (found.search, found.result) == (searched.search, None)
    assert json.loads(found.policy_json())
    with pytest.raises(KeyboardInterrupt):
        found_for(policy=found.chosen)


@pytest.mark.parametrize(
    ("options", "of_search", "of_point"),
    [
        ({"time_budget": 100.0}, 70.0, 60.0),
        ({"time_budget": 30.0}, 21.0, 1e-3),  # the search took more than it had
        ({"time_budget": 100.0, "tune_budget": 7.0}, 100.0, 7.0),
        ({"time_budget": None}, None, None),
        ({"time_budget": None, "tune_budget": 7.0}, None, 7.0),
    ],
)
def test_the_time_budget_is_shared_by_the_search_and_the_optimization(
    searched: MixedPrecision, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any],
    of_search: float | None, of_point: float | None,
) -> None:  # fmt: skip
    given, now = list[Any](), [1000.0]

    def search(*arguments: Any, time_budget: float | None, **others: Any) -> Search:
        given.append(time_budget)
        now.append(now[-1] + 40.0)
        assert searched.search is not None
        return searched.search

    def interrupted(*arguments: Any, time_budget: float | None, **others: Any) -> None:
        given.append(time_budget)
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "time", SimpleNamespace(monotonic=lambda: now[-1]))
    monkeypatch.setattr(MODULE, "search_bits", search)
    monkeypatch.setattr(MODULE, "optimize", interrupted)
    onnx_evoq.search_and_optimize(mlp(), X, budget=100, **options)
    assert given == pytest.approx([of_search, of_point])


def test_without_a_choice_the_search_has_all_of_the_time(
    searched: MixedPrecision, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[Any]()

    def search(*arguments: Any, time_budget: float | None, **others: Any) -> Search:
        given.append(time_budget)
        assert searched.search is not None
        return searched.search

    monkeypatch.setattr(MODULE, "search_bits", search)
    onnx_evoq.search_and_optimize(mlp(), X, time_budget=100.0)
    assert given == [100.0]


def test_a_policy_has_all_of_the_time(
    within_budget: MixedPrecision, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[Any]()

    def interrupted(*arguments: Any, time_budget: float | None, **others: Any) -> None:
        given.append(time_budget)
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "optimize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        onnx_evoq.search_and_optimize(mlp(), X, policy=within_budget.chosen, time_budget=100.0)
    assert given == pytest.approx([100.0], abs=1.0)


def test_a_run_that_ended_behind_the_search_goes_on_with_the_same_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(**options: Any) -> MixedPrecision:
        return onnx_evoq.search_and_optimize(
            mlp(), X, budget=100, time_budget=0.5, run_dir=tmp_path, **options
        )

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MODULE, "optimize", interrupted)
        first = once()
    again = once()
    assert (again.search, again.chosen) == (first.search, first.chosen)
    assert again.result is not None
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert [folder.split(" ")[0] for folder in folders] == ["optimize", "search"]
    with pytest.raises(OptionError, match="budget was 100, and is 90"):
        onnx_evoq.search_and_optimize(mlp(), X, budget=90, time_budget=9.0, run_dir=tmp_path)


def test_more_time_is_never_less_for_a_point_whose_time_was_up(
    searched: MixedPrecision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[Any]()

    def optimized(*arguments: Any, time_budget: float, run_dir: Path, **others: Any) -> None:
        with kept_run(run_dir, {}) as run:
            run.needs_more_than(time_budget)
            run.ended("time")
        given.append(time_budget)
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "search_bits", lambda *arguments, **options: searched.search)
    monkeypatch.setattr(MODULE, "optimize", optimized)
    for budget in (100.0, 101.0):
        onnx_evoq.search_and_optimize(mlp(), X, budget=100, time_budget=budget, run_dir=tmp_path)
    assert given[1] > given[0]


def test_another_point_with_more_time_is_told_with_the_model_before(
    searched: MixedPrecision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_tuning(monkeypatch)
    assert searched.search is not None
    first, *_, last = searched.search.front
    found = []
    for budget, point in ((1.0, first), (2.0, last), (3.0, last)):
        only = replace(searched.search, front=(point,))
        monkeypatch.setattr(MODULE, "search_bits", lambda *_, kept=only, **__: kept)
        found.append(
            onnx_evoq.search_and_optimize(
                mlp(), X, budget=10**6, time_budget=budget, run_dir=tmp_path
            )
        )
        for folder in tmp_path.glob("optimize *"):
            (folder / "best.onnx").touch()
        about = about_run(tmp_path)
        assert about is not None
        (tmp_path / "run.json").write_bytes(checked_text({**about, "state": "time"}))
    told = [[note for note in each.notes if "another point" in note] for each in found]
    assert [len(each) for each in told] == [0, 1, 0]
    (best,) = [path for path in tmp_path.glob("optimize */best.onnx") if str(path) in told[1][0]]
    assert best.exists()
