"""A search of widths that has ended, as its run keeps it."""

from dataclasses import replace
from pathlib import Path

import pytest
from graphs import mlp, random
from searches import shorten

import onnx_evoq
from onnx_evoq import Search
from onnx_evoq.api.kept_search import keep_search, kept_search
from onnx_evoq.record import kept_run
from onnx_evoq.run import Stopped


@pytest.fixture(scope="module")
def found() -> Search:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        return onnx_evoq.search_bits(mlp(), random(32, 4, seed=5), time_budget=None)


def test_all_of_a_search_is_kept(found: Search, tmp_path: Path) -> None:
    points = (replace(found.front[0], heldout=float("inf"), cut="some."), *found.front[1:])
    found = replace(found, front=points, stopped=Stopped.TIME)
    with kept_run(tmp_path, {}) as run:
        assert kept_search(run, 5.0) is None
        keep_search(run, found, 5.0)
    with kept_run(tmp_path, {}) as run:
        again = kept_search(run, 5.0)
    assert again == found
    assert again is not None
    assert type(again.front[0].packed_bytes) is int
    assert again.to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("stopped", "had", "now", "is_kept"),
    [
        (None, 5.0, 9.0, True), (Stopped.TIME, 5.0, 5.0, True), (Stopped.TIME, 5.0, 4.0, True),
        (Stopped.TIME, 5.0, 6.0, False), (Stopped.TIME, 5.0, None, False),
        (None, None, None, True),
    ],
)  # fmt: skip
def test_a_search_whose_time_was_up_goes_on_with_more(
    found: Search,
    tmp_path: Path,
    stopped: Stopped | None,
    had: float | None,
    now: float | None,
    is_kept: bool,
) -> None:
    with kept_run(tmp_path, {}) as run:
        keep_search(run, replace(found, stopped=stopped), had)
        assert (kept_search(run, now) is not None) is is_kept
