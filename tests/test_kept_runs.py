"""A run that was killed at any step goes on, and ends with the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, random
from kept_runs import Killed, Kills, names_in

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


def run(folder: Path | None, **options: Any) -> Result:
    """Quantize a small model without a time budget."""
    given = {"bits": 4, "time_budget": None, **options}
    return onnx_evoq.optimize(conv_net(), random(24, 3, 8, 8), run_dir=folder, **given)


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_run_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    whole = run(None, **WAYS[way])
    with monkeypatch.context() as patch:
        kills = Kills(patch)
        kept = run(tmp_path / "whole", **WAYS[way])
    assert same(kept, whole)
    steps = sorted({2, *np.linspace(4, kills.count, 3, dtype=int).tolist()})
    for after in steps:
        folder = tmp_path / str(after)
        with monkeypatch.context() as patch:
            Kills(patch, after)
            with pytest.raises(Killed):
                run(folder, **WAYS[way])
        again = run(folder, **WAYS[way])
        assert same(again, whole), after
        assert again.evaluations == whole.evaluations
        assert names_in(folder) == names_in(tmp_path / "whole")


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


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (lambda: {"bits": 5}, r"\(bits was 4, and is 5\)"),
        (lambda: {"seed": 1}, "seed was 0, and is 1"),
        (lambda: {"strategy": "coevolution"}, "strategy was none, and is coevolution"),
        (lambda: {"grid": Grid(scale="float")}, "scale was pow2, and is float"),
    ],
)
def test_another_option_is_refused_by_name(
    tmp_path: Path, begin: Callable[[], dict[str, Any]], said: str
) -> None:
    run(tmp_path, strategy="none")
    with pytest.raises(OptionError, match=said):
        run(tmp_path, **{"strategy": "none", **begin()})
    run(tmp_path, strategy="none")


def test_another_model_or_other_data_are_refused(tmp_path: Path) -> None:
    data = random(24, 3, 8, 8)
    run(tmp_path, strategy="none")
    for model, given, said in (
        (conv_net(opset=18), data, "the model is another one"),
        (conv_net(), data + 1, "the data is another one"),
    ):
        with pytest.raises(OptionError, match=said):
            onnx_evoq.optimize(
                model, given, bits=4, strategy="none", time_budget=None, run_dir=tmp_path
            )


def test_a_killed_search_ends_with_the_same_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(folder: Path | None) -> tuple[Any, bytes]:
        found = onnx_evoq.search_and_optimize(
            conv_net(), random(24, 3, 8, 8), budget=500, time_budget=None, tune_budget=60.0,
            space=SearchSpace(expansion=False), grid=Grid(granularity="tensor"), run_dir=folder,
        )  # fmt: skip
        assert found.search is not None
        assert found.result is not None
        points = [point.to_dict() for point in found.search.front]
        return points, found.result.model.SerializeToString()

    monkeypatch.setattr("onnx_evoq.evolve.formats._GENERATIONS", 1)
    monkeypatch.setattr("onnx_evoq.mixed_precision.evolution._GENERATIONS", 2)
    with monkeypatch.context() as patch:
        kills = Kills(patch)
        whole = search(tmp_path / "whole")
    for after in (3, kills.count // 2):
        folder = tmp_path / str(after)
        with monkeypatch.context() as patch:
            Kills(patch, after)
            with pytest.raises(Killed):
                search(folder)
        assert search(folder) == whole
