"""Rank weights by what quantizing each of them alone costs."""

import math
import sys
from typing import Any

import pytest
from graphs import conv_net, mlp, random

import onnx_evoq
from onnx_evoq import EvoqError, Grid
from onnx_evoq.report import sensitivity_text

module = sys.modules["onnx_evoq.api.rank_sensitivity"]
X = random(40, 3, 8, 8, seed=3)


def test_all_weights_are_ranked_the_least_sensitive_first() -> None:
    ranking = onnx_evoq.rank_sensitivity(conv_net(), X, bits=3)
    scores = [row.score for row in ranking.rows]
    assert scores == sorted(scores)
    assert {row.name for row in ranking.rows} == {"w1", "w2", "w3"}
    assert {row.bits for row in ranking.rows} == {3}
    assert (ranking.metric, ranking.reference, ranking.samples) == ("mse", 0.0, 40)


def test_more_bits_cost_less() -> None:
    coarse, fine = (
        {row.name: row.score for row in onnx_evoq.rank_sensitivity(conv_net(), X, bits=bits).rows}
        for bits in (2, 8)
    )
    assert all(fine[name] < coarse[name] for name in fine)


def test_kept_weights_are_not_ranked() -> None:
    ranking = onnx_evoq.rank_sensitivity(conv_net(), X, grid=Grid(keep=["w2"]))
    assert {row.name for row in ranking.rows} == {"w1", "w3"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 9}, "bits 9 is out of range"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"time_budget": 0}, "time_budget 0 is not positive"),
        ({"grid": Grid(granularity="any")}, "granularity 'any' is for a search of widths"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(EvoqError, match=message):
        onnx_evoq.rank_sensitivity(conv_net(), X, **options)


def test_the_ranking_tries_4_bits_on_all_samples_by_default() -> None:
    usual = onnx_evoq.rank_sensitivity(mlp())
    same = onnx_evoq.rank_sensitivity(mlp(), bits=4, seed=0)
    assert usual == same
    assert usual.source == "the model in memory"
    assert usual.notes != ()  # no data were given
    assert {row.name: row.shape for row in usual.rows} == {"first": (4, 6), "second": (3, 6)}


def test_with_much_time_the_ranking_is_the_same() -> None:
    assert onnx_evoq.rank_sensitivity(mlp(), time_budget=1e6) == onnx_evoq.rank_sensitivity(mlp())


def test_without_time_weights_have_no_score_and_notes_say_so() -> None:
    ranking = onnx_evoq.rank_sensitivity(conv_net(), X, time_budget=1e-9)
    assert all(math.isnan(row.score) for row in ranking.rows)
    assert [row["score"] for row in ranking.to_dict()["rows"]] == [None] * 3
    assert "3 of 3 weights have no score" in ranking.notes[-1]
    assert "samples are used" in ranking.notes[0]


def test_where_time_is_short_all_weights_are_scored_on_the_first_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def first(scoring: Any, weights: int, seconds: float, deadline: Any) -> Any:
        assert weights == 3
        assert seconds > 0
        assert deadline.left < 1e6
        return scoring.first(1)

    monkeypatch.setattr(module, "samples_in_time", first)
    ranking = onnx_evoq.rank_sensitivity(conv_net(), random(400, 3, 8, 8), time_budget=1e6)
    assert 0 < ranking.samples < 400
    assert all(math.isfinite(row.score) for row in ranking.rows)
    assert ranking.notes[-1] == (
        f"the scores are of the first {ranking.samples} of 400 samples, to save time."
    )


def test_activations_are_ranked_among_the_weights() -> None:
    grid = Grid(activations=3)
    ranking = onnx_evoq.rank_sensitivity(conv_net(), X, bits=8, grid=grid)
    weights = onnx_evoq.rank_sensitivity(conv_net(), X, bits=8)
    scores = [row.score for row in ranking.rows]
    assert scores == sorted(scores)
    own = {row.name: row for row in ranking.rows if row.op_type == "activation"}
    assert {row.name: row.score for row in ranking.rows if row.name not in own} == {
        row.name: row.score for row in weights.rows
    }
    assert own["x"].bits == 8, "the input of the model"
    assert own["c"].bits == 3
    assert own["x"].score < own["c"].score
    text = sensitivity_text(ranking)
    assert "name, least sensitive first" in text
    assert "scalar" not in text
