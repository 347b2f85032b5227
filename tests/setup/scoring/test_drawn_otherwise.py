"""Samples that are drawn in other ways, on which the float model is run when asked for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import mlp, random

from onnx_evoq.batch import Batch, Group, make_batches
from onnx_evoq.data import Samples
from onnx_evoq.model import input_specs
from onnx_evoq.run import Deadline
from onnx_evoq.setup.scoring import DrawnOtherwise
from onnx_evoq.setup.sessions import Resources, open_session

MODEL = mlp()


def samples(count: int, seed: int, scale: float = 1.0) -> Samples:
    values = scale * random(count, 4, seed=seed)
    return Samples([Group({"x": values}, np.arange(count))], None, (), "test")


def drawn(*sets: Samples, most: int = 100) -> DrawnOtherwise:
    specs = input_specs(MODEL)

    def batches(part: Samples) -> list[Batch]:
        return make_batches(part.groups[0].inputs, specs, 8)

    return DrawnOtherwise(
        sets, batches, lambda: open_session(MODEL, Resources(), "test"), {}, Resources(), most
    )


def test_each_set_is_run_and_scored_by_its_relative_error() -> None:
    found = drawn(samples(20, 1), samples(12, 2)).sets(Deadline(None))
    assert [scoring.samples for scoring in found] == [20, 12]
    assert found[0].criterion.metric.name == "nmse"


def test_a_set_has_so_many_samples_at_most() -> None:
    found = drawn(samples(20, 1), samples(12, 2), most=16).sets(Deadline(None))
    assert [scoring.samples for scoring in found] == [16, 12]


def test_out_of_time_one_batch_of_the_first_set_is_run() -> None:
    found = drawn(samples(20, 1), samples(12, 2)).sets(Deadline(0))
    assert [scoring.samples for scoring in found] == [8]


def test_the_deadline_is_watched_between_batches() -> None:
    now = iter(range(100))
    deadline = Deadline(3.5, lambda: float(next(now)))
    found = drawn(samples(80, 1), samples(12, 2)).sets(deadline)
    assert len(found) == 1
    assert 8 < found[0].samples < 80


def test_sets_without_numbers_are_left_out() -> None:
    given = drawn(samples(8, 1, np.inf), samples(12, 2))
    assert [scoring.samples for scoring in given.sets(Deadline(None))] == [12]


def test_no_session_is_open_until_the_sets_are_asked_for() -> None:
    def refuse() -> Any:
        raise InterruptedError

    given = replace(drawn(samples(8, 1)), open=refuse)
    with pytest.raises(InterruptedError):
        given.sets(Deadline(None))
