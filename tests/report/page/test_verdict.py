"""The verdict on an optimized model."""

from typing import Any

import pytest
from shown_results import details, layer_details, model_values, result_values

from onnx_evoq.report.page.layer_rows import layer_rows
from onnx_evoq.report.page.verdict import Verdict, quality_of, verdict_of, worst_layer

MINUS = "\N{MINUS SIGN}"


def verdict(values: dict[str, Any]) -> Verdict:
    return verdict_of(values, layer_rows(values))


def with_models(
    evolved: dict[str, Any], answers: dict[str, Any] | None = None, **of: Any
) -> dict[str, Any]:
    """A result whose models have these values."""
    models = {"reference": model_values(0.0), "nearest": model_values(0.5), "evolved": evolved}
    if "top1" in evolved:
        models |= {"reference": model_values(0.0, 0.95), "nearest": model_values(0.5, 0.4, 0.5)}
    heldout = {"samples": 100, "models": models}
    return result_values(details=details(heldout=heldout, answers=answers), **of)


def answers(changed: int, of: int, low: float = 0.0, high: float = 0.05) -> dict[str, Any]:
    return {
        "kind": "classes", "changed": changed, "of": of, "low": low, "high": high, "samples": [],
    }  # fmt: skip


def test_a_small_model_that_keeps_its_answers_was_worth_it() -> None:
    found = verdict(result_values())
    assert found.level == "kept"
    assert found.worth == (
        "Yes: the file is 5.0 times smaller (1 MB to 200 kB), and top-1 is 94.50 % "
        f"({MINUS}0.5 points, from {MINUS}1.5 to +0.5) where the float model has 95.00 % and "
        "nearest rounding 50.00 %."
    )


@pytest.mark.parametrize(
    ("lost", "level"), [(0.005, "kept"), (0.02, "some"), (0.2, "much"), (-0.1, "kept")]
)
def test_the_level_follows_from_the_top1_that_is_lost(lost: float, level: str) -> None:
    assert quality_of(with_models(model_values(0.01, 0.9, lost)))[0] == level


def test_a_loss_within_its_interval_is_none_unless_it_is_large() -> None:
    evolved = model_values(0.01, 0.9, 0.03)
    evolved["top1"]["lost_within"] = [-0.01, 0.07]
    assert quality_of(with_models(evolved))[0] == "kept"
    evolved["top1"] |= {"lost": 0.06, "lost_within": [-0.01, 0.13]}
    assert quality_of(with_models(evolved))[0] == "some"
    evolved["top1"] |= {"lost": 0.06, "lost_within": None}
    level, text = quality_of(with_models(evolved))
    assert level == "some"
    assert "from" not in text


@pytest.mark.parametrize(("changed", "level"), [(1, "kept"), (5, "some"), (50, "much")])
def test_without_labels_changed_answers_count(changed: int, level: str) -> None:
    found, text = quality_of(with_models(model_values(0.01), answers(changed, 100)))
    assert found == level
    assert text.startswith(f"{changed} of 100 held-out samples get another answer")


def test_too_few_samples_are_said_to_tell_little() -> None:
    few = verdict(with_models(model_values(0.0), answers(0, 16, 0.0, 0.19)))
    assert few.worth.startswith("Probably, though held-out samples are too few to tell: the file")
    many = verdict(with_models(model_values(0.0), answers(0, 160, 0.0, 0.02)))
    assert many.worth.startswith("Yes: ")


@pytest.mark.parametrize(("error", "level"), [(0.005, "kept"), (0.05, "some"), (0.3, "much")])
def test_without_classes_the_relative_error_counts(error: float, level: str) -> None:
    found, text = quality_of(with_models(model_values(error)))
    assert found == level
    assert "of their power" in text
    assert "nearest rounding is off by 50 %" in text


def test_without_details_the_scores_are_shown() -> None:
    values = result_values()
    del values["details"]
    found = verdict(values)
    assert found.level == "unknown"
    assert "mse on held-out samples is 0.2; of nearest rounding it is 0.8" in found.worth
    assert found.hurts == "That was not measured: run it again with --report."


def test_a_file_that_is_not_smaller_was_not_worth_it() -> None:
    assert verdict(result_values(bytes_after=1_000_000)).worth.startswith(
        "No: the file is not smaller (1 MB before, 1 MB now), and top-1"
    )


def test_the_most_sensitive_layer_hurts_most() -> None:
    rows = layer_rows(result_values())
    row, share = worst_layer(rows) or (None, 0)
    assert row is rows[1]
    assert share == pytest.approx(0.75)
    assert verdict(result_values()).hurts == (
        "conv2 (4 bits): rounded alone, it moves the outputs by 30 % of their power, 75 % of what "
        "all layers do. Now the error behind it is 4 %."
    )


def test_without_sensitivities_the_largest_error_counts() -> None:
    layers = {"w1": layer_details(None, "conv1"), "w2": layer_details(None, "conv2")}
    values = result_values(details=details(layers=layers))
    assert verdict(values).hurts.startswith("conv2: behind it, the error is largest, 4 %")


def commands(values: dict[str, Any]) -> list[str]:
    return [command for _, command in verdict(values).following]


def test_a_good_model_is_scored_on_other_data_next() -> None:
    first, second = commands(result_values())
    assert first.startswith("onnx-evoq evaluate net.w4.onnx --data TEST_DATA")
    assert second.endswith("--data d.npz --bits 3")
    assert len(commands(result_values(bits=2))) == 1
    assert len(commands(result_values(bits=None))) == 1


def test_a_poor_model_gets_more_time_or_more_bits() -> None:
    poor = with_models(model_values(0.5))
    one, every = commands(poor)
    assert one.endswith("--data d.npz --bits-for w2=8")  # which has most of all sensitivity
    assert every.endswith("--data d.npz --bits 5")
    first, *_ = commands({**poor, "stopped": "time"})
    assert first.endswith("--time-budget 50s")


def test_a_middling_model_may_be_scored_all_the_same() -> None:
    assert commands(with_models(model_values(0.05)))[-1].startswith("onnx-evoq evaluate")


def test_where_nothing_can_be_widened_the_model_is_scored() -> None:
    assert len(commands({**with_models(model_values(0.5)), "bits": 8})) == 1
