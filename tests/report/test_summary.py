"""What a user is told about how a search ended."""

import json

import pytest
from graphs import mlp

from onnx_evoq.evolve import Evolved
from onnx_evoq.model import find_weights, load
from onnx_evoq.pipeline import metadata_of
from onnx_evoq.report import layer_results, notes_on
from onnx_evoq.run.stop import Stopped
from onnx_evoq.setup import Score, nearest_of

RANKING = {"a": 1.0, "b": 2.0}


def notes(
    stopped: str | None, left_out: tuple[str, ...] = (), within_max_drop: bool = True
) -> list[str]:
    codes = dict.fromkeys(RANKING)
    evolved = Evolved(codes, {}, 7, stopped, left_out, within_max_drop)  # type: ignore[arg-type]
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


def test_a_model_that_drops_too_far_at_8_bits_says_just_that() -> None:
    assert notes(None, ("a", "b"), within_max_drop=False) == [
        "even at 8 bits the model drops by more than 1 percent."
    ]


def test_weights_that_were_not_ranked_are_counted() -> None:
    evolved = Evolved(dict.fromkeys(RANKING), {}, 7, None)  # type: ignore[arg-type]
    (note,) = notes_on(evolved, {"a": 1.0, "b": float("nan")}, None)
    assert note.startswith("1 of 2 weights were not ranked within a third of the time")


def test_a_weight_tells_the_width_and_the_frac_bits_of_each_channel() -> None:
    weights = find_weights(load(mlp()))[0]
    bits = {"first": 3, "second": (2, 6, 4)}
    quantized = nearest_of(weights, bits, "channel", "pow2")
    results = layer_results(Evolved(quantized, {}, 0, None), dict.fromkeys(bits, 0.5))
    assert [result.bits for result in results] == [3, (2, 6, 4)]
    assert results[1].frac_bits == quantized["second"].grid.frac_bits
    nearest = Score(1.0, 2.0)
    metadata = json.loads(metadata_of(quantized, 0, "mse", nearest, nearest)["onnx_evoq.weights"])
    assert metadata["second"] == {"bits": [2, 6, 4], "frac_bits": results[1].frac_bits}
