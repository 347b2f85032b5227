"""A run that was killed at any step goes on, and ends with the same bytes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphs import conv_net, random
from kept_runs import Killed, Kills, names_in
from searches import shorten, shorten_tuning

import onnx_evoq
from onnx_evoq import Grid, Resources, Result, SearchSpace, Strategy
from onnx_evoq.errors import OptionError
from onnx_evoq.record import about_run, checked_text

WAYS: dict[str, dict[str, Any]] = {
    "neuroevolution": {"strategy": Strategy("neuroevolution", generations=2)},
    "coevolution": {"strategy": Strategy("coevolution", generations=4)},
    "together from nearest": {"strategy": Strategy("coevolution", init="nearest", generations=4)},
    "activations": {
        "grid": Grid(activations=8, granularity="channel"),
        "strategy": Strategy("neuroevolution", generations=1),
    },
    "few bits of activations": {
        "grid": Grid(activations=4, granularity="channel"),
        "strategy": Strategy("neuroevolution", generations=1),
    },
    "max drop": {"bits": 2, "max_drop": 3, "strategy": "none"},
    "max drop from nearest": {
        "bits": 2,
        "max_drop": 3,
        "strategy": Strategy("neuroevolution", init="nearest", generations=2),
    },
}
SHORT: dict[str, Any] = {"strategy": Strategy("neuroevolution", init="nearest", generations=2)}


@pytest.fixture(scope="module", autouse=True)
def few_formats() -> Iterator[None]:
    """Formats evolve for three generations."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("onnx_evoq.evolve.formats._GENERATIONS", 3)
        yield


def run(folder: Path | None, **options: Any) -> Result:
    """Quantize a small model without a time budget."""
    given = {"bits": 4, "time_budget": None, "resources": Resources(workers=2), **options}
    return onnx_evoq.optimize(conv_net(), random(24, 3, 8, 8), run_dir=folder, **given)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    whole = run(None, **WAYS[way])
    with monkeypatch.context() as patch:
        kills = Kills(patch)
        kept = run(tmp_path / "whole", **WAYS[way])
    assert same(kept, whole)
    # Killed behind the steps 2 and 4, in the middle, and near the end.
    again, lives = None, 0
    while again is None:
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            Kills(patch, 2 if lives < 2 else (kills.count - 4) // 2 or 1)
            again = run(tmp_path / "killed", **WAYS[way])
        lives += 1
        assert lives < 20
    assert lives > 3
    assert same(again, whole)
    assert again.evaluations == whole.evaluations
    assert names_in(tmp_path / "killed") == names_in(tmp_path / "whole")


def same(one: Result, other: Result) -> bool:
    """Whether two results have the same model."""
    return one.model.SerializeToString() == other.model.SerializeToString()


def test_a_run_that_is_done_only_emits_its_model_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, **SHORT)
    kills = Kills(monkeypatch)
    assert same(run(tmp_path, **SHORT), first)
    assert kills.count == 0


def test_time_that_was_spent_counts(tmp_path: Path) -> None:
    with_time = run(tmp_path, time_budget=1000.0, strategy="none")
    about = about_run(tmp_path)
    assert about is not None
    about |= {"seconds": 999.0, "state": "running"}  # as after a kill
    (tmp_path / "run.json").write_bytes(checked_text(about))
    again = run(tmp_path, time_budget=1000.0, strategy="none")
    assert again.seconds > 999 > with_time.seconds


def test_cores_may_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = SHORT
    with monkeypatch.context() as patch:
        Kills(patch, 3)
        with pytest.raises(Killed):
            run(tmp_path, resources=Resources(workers=1), **options)
    assert same(run(tmp_path, resources=Resources(workers=2), **options), run(None, **options))


def test_another_option_another_model_and_other_data_are_refused_by_name(tmp_path: Path) -> None:
    first = run(tmp_path, strategy="none")
    for options, said in (
        ({"bits": 5}, r"\(bits was 4, and is 5\)"),
        ({"seed": 1}, "seed was 0, and is 1"),
        ({"strategy": "coevolution"}, "strategy was none, and is coevolution"),
        ({"grid": Grid(scale="float")}, "scale was pow2, and is float"),
    ):
        with pytest.raises(OptionError, match=said):
            run(tmp_path, **{"strategy": "none", **options})
    data = random(24, 3, 8, 8)
    for model, given, said in (
        (conv_net(opset=18), data, "the model is another one"),
        (conv_net(), data + 1, "the data is another one"),
    ):
        with pytest.raises(OptionError, match=said):
            onnx_evoq.optimize(
                model,
                given,
                bits=4,
                strategy="none",
                time_budget=None,
                run_dir=tmp_path,
            )
    assert same(run(tmp_path, strategy="none"), first)


def test_a_search_that_is_killed_twice_ends_with_the_same_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(folder: Path | None) -> tuple[Any, bytes]:
        found = onnx_evoq.search_and_optimize(
            conv_net(), random(24, 3, 8, 8), budget=500, time_budget=None, tune_budget=60.0,
            space=SearchSpace(expansion=False), grid=Grid(granularity="tensor"), run_dir=folder,
            resources=Resources(workers=2),
        )  # fmt: skip
        assert found.search is not None
        assert found.result is not None
        points = [point.to_dict() for point in found.search.front]
        return points, found.result.model.SerializeToString()

    shorten(monkeypatch)
    shorten_tuning(monkeypatch, generations=1)
    with monkeypatch.context() as patch:
        kills = Kills(patch)
        whole = search(tmp_path / "whole")
    found, lives = None, 0
    while found is None:
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            Kills(patch, kills.count // 2 if lives else 3)
            found = search(tmp_path / "killed")
        lives += 1
        assert lives < 20
    assert found == whole
    assert lives > 2
