"""The results per weight, and the notes on how ranking and search ended."""

import json
from dataclasses import replace

import numpy as np
import pytest
from graphs import mlp

from onnx_evoq.evolve import Evolved
from onnx_evoq.evolve.settings import LayerScores
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import find_weights, load
from onnx_evoq.pipeline import metadata_of
from onnx_evoq.report import (
    layer_results,
    notes_on,
    notes_on_fit,
    notes_on_nearest,
    notes_on_size,
    weight_info,
)
from onnx_evoq.report.results import Coverage
from onnx_evoq.run.stop import Stopped
from onnx_evoq.setup import Score, nearest_of

RANKING = {"a": 1.0, "b": 2.0}


def notes(stopped: str | None, left_out: tuple[str, ...] = ()) -> list[str]:
    codes = dict.fromkeys(RANKING)
    evolved = Evolved(codes, {}, 7, stopped, left_out)  # type: ignore[arg-type]
    return notes_on(evolved, RANKING, 1.0)


def test_a_search_that_ran_to_its_end_needs_no_note() -> None:
    assert notes(None) == []


@pytest.mark.parametrize(
    ("stopped", "left_out", "text"),
    [
        (
            Stopped.TIME,
            (),
            "cut the search short after 7 evaluations (0 of 2 weights were searched)",
        ),
        (
            Stopped.INTERRUPT,
            (),
            "the search was interrupted: the result is what was found until then",
        ),
        (None, ("b",), "1 of 2 weights stay at 8 bits, since the next would have passed the"),
        (
            Stopped.TIME,
            ("b",),
            "percent after its share of the time budget: a longer one may take more",
        ),
    ],
)
def test_each_end_has_one_note(stopped: str | None, left_out: tuple[str, ...], text: str) -> None:
    (note,) = notes(stopped, left_out)
    assert text in note


def test_weights_that_an_interrupt_left_out_are_not_blamed_on_the_drop() -> None:
    assert any("interrupted before them" in note for note in notes(Stopped.INTERRUPT, ("b",)))
    assert not any("allowed drop" in note for note in notes(Stopped.INTERRUPT, ("b",)))


def test_activations_of_many_bits_run_as_floats() -> None:
    (wide,) = notes_on(Evolved({}, {}, 7, None), {}, None, activation_bits=12)
    assert wide.startswith("activations of 12 bits save no time in ONNX Runtime")
    assert notes_on(Evolved({}, {}, 7, None), {}, None, activation_bits=8) == []


def test_weights_that_were_not_ranked_are_counted() -> None:
    evolved = Evolved(dict.fromkeys(RANKING), {}, 7, None)  # type: ignore[arg-type]
    (note,) = notes_on(evolved, {"a": 1.0, "b": float("nan")}, None)
    assert note.startswith("1 of 2 weights were not ranked within their share of the time")


def test_a_layer_result_has_the_width_and_the_frac_bits_of_each_channel() -> None:
    weights = find_weights(load(mlp()))[0]
    bits = {"first": 3, "second": (2, 6, 4)}
    quantized = nearest_of(weights, bits, "channel", "pow2")
    results = layer_results(Evolved(quantized, {}, 0, None), dict.fromkeys(bits, 0.5))
    assert [result.bits for result in results] == [3, (2, 6, 4)]
    assert results[1].frac_bits == quantized["second"].grid.frac_bits
    nearest = Score(1.0, 2.0)
    metadata = json.loads(
        metadata_of(quantized, 0, "mse", {"nearest": nearest})["onnx_evoq.weights"]
    )
    assert metadata["second"] == {
        "bits": [2, 6, 4], "frac_bits": results[1].frac_bits, "axis": 0
    }  # fmt: skip


def test_a_layer_result_has_its_scores_and_its_sensitivity_in_the_order_of_the_ranking() -> None:
    weights = find_weights(load(mlp()))[0]
    quantized = nearest_of(weights, {"first": 4, "second": 4}, "tensor", "pow2")
    scores = LayerScores({"search": 2.0, "heldout": 3.0}, {"search": 1.0, "heldout": 2.5})
    evolved = Evolved(quantized, {"first": scores}, 0, None)
    second, first = layer_results(evolved, {"second": 0.25, "first": 0.5})
    assert (second.name, second.sensitivity) == ("second", 0.25)
    assert (second.before, second.after) == (None, None)
    assert (first.name, first.sensitivity) == ("first", 0.5)
    assert (first.before, first.after) == (scores.before, scores.after)


def test_weights_that_were_not_to_be_ranked_need_no_note() -> None:
    evolved = Evolved(dict.fromkeys(RANKING), {}, 7, None)  # type: ignore[arg-type]
    assert notes_on(evolved, dict.fromkeys(RANKING, float("nan")), None, ranked=False) == []


def test_searched_weights_are_counted_where_time_ran_out() -> None:
    scores = LayerScores({}, {})
    evolved = Evolved(dict.fromkeys(RANKING), {"a": scores}, 7, Stopped.TIME)  # type: ignore[arg-type]
    (note,) = notes_on(evolved, RANKING, None)
    assert "(1 of 2 weights were searched)" in note


def test_a_weight_is_described_by_its_range_and_its_bytes() -> None:
    weight = find_weights(load(mlp()))[0][0]
    info = weight_info(replace(weight, values=np.array([[-3.5, 0.5, 1.0]], np.float32)), "why")
    assert (info.name, info.op_type, info.nodes) == ("first", "MatMul", ("layer1",))
    assert (info.low, info.high, info.int_bits) == (-3.5, 1.0, 2)
    assert info.bytes == {2: 1, 3: 2, 4: 2, 5: 2, 6: 3, 7: 3, 8: 3}
    assert info.no_expansion == "why"


@pytest.mark.parametrize(
    ("nearest", "evolved", "metric", "noted"),
    [
        (1.0, 1.1, "mse", True),
        (1.0, 1.0, "mse", False),
        (1.0, 1.00001, "mse", False),
        (1.0, 0.9, "mse", False),
        (20.0, 19.0, "sqnr", True),
        (20.0, 21.0, "sqnr", False),
    ],
)
def test_a_model_that_is_worse_than_nearest_rounding_is_noted(
    nearest: float, evolved: float, metric: str, noted: bool
) -> None:
    scores = {"nearest": Score(0.0, nearest), "evolved": Score(0.0, evolved)}
    assert (notes_on_nearest(scores, find_metric(metric), None) != []) == noted


def test_the_remedy_depends_on_why_the_search_ended() -> None:
    scores = {"nearest": Score(0.2, 0.25), "evolved": Score(0.1, 0.5)}
    (note,) = notes_on_nearest(scores, find_metric("mse"), Stopped.TIME)
    assert note == (
        "the model is worse than nearest rounding on the held-out samples (0.5 against 0.25): let "
        "the search run to its end, or take nearest rounding (--init nearest --strategy none)."
    )
    (note,) = notes_on_nearest(scores, find_metric("mse"), None)
    assert ": give more samples, or more bits, or take nearest rounding" in note


@pytest.mark.parametrize(
    ("search", "heldout", "noted"), [(1, 11, True), (1, 9, False), (0, 1, False)]
)
def test_a_fit_that_new_samples_do_not_share_is_noted(
    search: float, heldout: float, noted: bool
) -> None:
    found = notes_on_fit(Score(search, heldout), find_metric("mse"))
    assert (found != []) == noted
    assert notes_on_fit(Score(search, heldout), find_metric("sqnr")) == []


@pytest.mark.parametrize(
    ("after", "coverage", "text"),
    [
        (99, Coverage(1, 0, 9), None),
        (100, Coverage(1, 0, 9), "100 B before and 100 B now: 90 % of its floats stay floats"),
        (101, Coverage(9, 0, 1), "its graph takes more room than its weights"),
    ],
)
def test_a_file_that_is_not_smaller_is_noted(
    after: int, coverage: Coverage, text: str | None
) -> None:
    notes = notes_on_size(100, after, coverage)
    assert [text in note for note in notes if text] == [True] * (text is not None)
    assert len(notes) == (text is not None)
