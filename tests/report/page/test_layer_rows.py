"""The layers of a result as rows."""

import csv
import io
from typing import Any

from shown_results import layer, result_values, search_values

from onnx_evoq.report.page.layer_rows import layer_rows, layers_csv


def bare(**changes: Any) -> dict[str, Any]:
    """A result without details."""
    values = result_values(**changes)
    del values["details"], values["history"]
    return values


def test_rows_are_in_the_order_of_the_graph() -> None:
    rows = layer_rows(result_values())
    assert [(row.weight, row.label) for row in rows] == [("w1", "conv1"), ("w2", "conv2")]
    assert rows[1].errors == {"nearest": 0.3, "start": 0.05, "evolved": 0.04}
    assert (rows[1].sensitivity, rows[1].seconds, rows[1].moved) == (0.3, 3.5, 0.125)


def test_without_details_rows_have_what_the_result_says() -> None:
    first, second = layer_rows(bare())
    assert (first.weight, first.label, first.steps) == ("w2", "w2", (0.0625, 0.0625))
    assert (first.op, first.sensitivity, first.seconds, first.codes) == (None, None, None, None)
    assert second.errors == {"nearest": None, "start": None, "evolved": None}


def test_a_width_per_channel_is_shown_as_a_range() -> None:
    layers = [{**layer("w1", [2, 5]), "frac_bits": [3, 1]}, {**layer("w2"), "frac_bits": None}]
    first, second = layer_rows(bare(layers=layers))
    assert (first.bits, first.steps) == ("2-5", (0.125, 0.5))
    assert second.steps is None


def test_a_weight_without_details_comes_last() -> None:
    layers = [layer("other"), layer("w2"), layer("w1")]
    assert [row.weight for row in layer_rows(result_values(layers=layers))] == ["w1", "w2", "other"]


def test_the_csv_has_a_line_for_each_layer() -> None:
    first, second = csv.DictReader(io.StringIO(layers_csv(result_values())))
    assert (first["weight"], first["nodes"], first["shape"]) == ("w1", "conv1", "8x3x3x3")
    assert (first["search_before"], first["search_after"]) == ("0.5", "0.4")
    assert (first["heldout_before"], first["heldout_after"]) == ("0.6", "0.5")
    assert (second["step_low"], second["error_nearest"], second["error_now"]) == (
        "0.0625", "0.3", "0.04",
    )  # fmt: skip


def test_what_is_not_known_is_empty() -> None:
    layers = [{**layer("a,b"), "before": None, "after": None}]
    (row,) = csv.DictReader(io.StringIO(layers_csv(bare(layers=layers))))
    assert row["weight"] == "a,b"
    assert (row["op"], row["search_before"], row["sensitivity"]) == ("", "", "")


def test_a_search_has_the_layers_of_the_model_that_it_optimized() -> None:
    assert len(layers_csv(search_values()).splitlines()) == 1
    assert len(layers_csv(search_values(optimized=result_values())).splitlines()) == 3
