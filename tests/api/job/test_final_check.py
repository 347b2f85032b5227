"""The time that emission and scores take, and the samples that they have time for."""

from dataclasses import replace

import pytest
from graphs import mlp, random, scoring_set

from onnx_evoq.api.job.final_check import FinalCheck
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import load
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup import Calibration

MODEL = load(mlp())
SEARCH, HELDOUT = (scoring_set(MODEL, {"x": random(n, 4)}, 4) for n in (24, 16))
GIVEN = Calibration(find_metric("mse"), SEARCH, HELDOUT, False, (), seconds=0.5)
RUNS = 2.5 * 0.5 * 40  # seconds for the scores on all samples
COMPARED = 0.5 * 2 * 16  # seconds to compare two models on the held-out set


def within(seconds: float, given: Calibration = GIVEN) -> FinalCheck:
    return FinalCheck(given, 3.0, Deadline(seconds, lambda: 0.0))


@pytest.mark.parametrize("deadline", [NO_DEADLINE, Deadline(5 * RUNS, lambda: 0.0)])
def test_with_enough_time_all_samples_are_scored(deadline: Deadline) -> None:
    check = FinalCheck(GIVEN, 3.0, deadline)
    assert (check.calibration.search_set.samples, check.calibration.heldout_set.samples) == (24, 16)
    assert check.seconds == RUNS + COMPARED + 4 * 3.0
    assert check.notes == ()


@pytest.mark.parametrize(("fewest", "scored"), [(20, 20), (4, 16), (64, 24)])
def test_of_the_search_set_as_many_samples_are_scored_as_are_held_out_or_a_few(
    monkeypatch: pytest.MonkeyPatch, fewest: int, scored: int
) -> None:
    monkeypatch.setattr("onnx_evoq.api.job.final_check._FEWEST_OF_SEARCH", fewest)
    check = FinalCheck(GIVEN, 0.0, NO_DEADLINE)
    assert check.calibration.search_set.samples == scored
    assert check.calibration.heldout_set.samples == 16
    assert check.seconds == 2.5 * 0.5 * (16 + scored) + COMPARED
    assert check.notes == ()  # which is not to save time


def test_of_one_set_all_samples_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.api.job.final_check._FEWEST_OF_SEARCH", 4)
    check = FinalCheck(replace(GIVEN, heldout_set=SEARCH), 0.0, NO_DEADLINE)
    assert check.calibration.search_set.samples == check.calibration.heldout_set.samples == 24


def test_scores_take_a_fifth_of_the_time_at_most() -> None:
    check = within(2.5 * RUNS)  # for half of the samples
    assert (check.calibration.search_set.samples, check.calibration.heldout_set.samples) == (12, 8)
    assert check.seconds == RUNS / 2 + COMPARED / 2 + 12
    assert check.notes == ("the scores are of 20 samples only, to save time.",)


@pytest.mark.parametrize("seconds", [0, 1e-3])
def test_out_of_time_one_batch_of_each_set_is_scored(seconds: float) -> None:
    check = within(seconds)
    assert check.notes == ("the scores are of 8 samples only, to save time.",)
    assert check.seconds == pytest.approx(RUNS / 5 + COMPARED / 4 + 12)


def test_of_a_single_batch_nothing_is_left_out() -> None:
    sets = [replace(each, batches=each.batches[:1]).first(4) for each in (SEARCH, HELDOUT)]
    check = within(0, replace(GIVEN, search_set=sets[0], heldout_set=sets[1]))
    assert check.notes == ()
    assert check.calibration.search_set.samples == 4


def test_where_the_time_of_a_run_was_not_measured_all_samples_are_scored() -> None:
    check = within(0, replace(GIVEN, seconds=0.0))
    assert (check.notes, check.seconds) == ((), 12)
    assert check.calibration.search_set.samples == 24
