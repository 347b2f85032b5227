"""Rank weights by what quantizing each of them alone costs."""

import pytest
from graphs import conv_net, mlp, random

import onnx_evoq
from onnx_evoq import EvoqError, Grid

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
