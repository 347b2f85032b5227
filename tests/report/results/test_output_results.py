"""The errors of outputs as results."""

import numpy as np

from onnx_evoq.metrics.output_layout import OutputLayout
from onnx_evoq.report.results import OutputResult, errors_of, output_results
from onnx_evoq.setup import Score

DETECTOR = OutputResult(
    "out", -1, (900.0, 400.0, 0.5, 0.2), {"nearest": (1.0, 2.0, 3.0, 6.0), "evolved": (1, 1, 1, 1)}
)


def test_the_error_of_an_output_is_the_mean_of_its_channels() -> None:
    assert DETECTOR.error("nearest") == 3.0


def test_parts_are_cut_where_powers_differ() -> None:
    assert DETECTOR.parts() == [("out[0-1]", slice(0, 2)), ("out[2-3]", slice(2, 4))]
    lone = OutputResult("o", -1, (9.0, 0.1, 8.0), {})
    assert [label for label, _ in lone.parts()] == ["o[0]", "o[1]", "o[2]"]
    assert OutputResult("o", None, (9.0,), {}).parts() == [("o", slice(0, 1))]


def test_an_output_has_four_parts_at_most() -> None:
    classes = OutputResult("o", -1, (900.0, 1e-9, 1.0, 1e-6, 1e-3, 1e-2, 1e-3), {})
    assert [label for label, _ in classes.parts()] == ["o[0]", "o[1]", "o[2]", "o[3-6]"]


def test_plain_values_hold_the_errors_of_channels_where_there_are_several() -> None:
    values = DETECTOR.to_dict()
    assert values["error"] == {"nearest": 3.0, "evolved": 1.0}
    assert values["channel_errors"]["nearest"] == [1.0, 2.0, 3.0, 6.0]
    assert (values["channel_axis"], values["power"]) == (-1, [900.0, 400.0, 0.5, 0.2])
    assert "channel_errors" not in OutputResult("o", None, (9.0,), {"nearest": (1.0,)}).to_dict()


def test_results_follow_scores_and_layouts() -> None:
    layouts = {
        "a": OutputLayout(channels=-1, power=np.array([100.0, 1.0])),
        "b": OutputLayout(power=np.array([4.0])),
    }
    scores = {
        "reference": Score(0, 0),
        "nearest": Score(1, 2, outputs={"a": (0.5, 0.25), "b": (0.125,)}),
    }
    first, second = output_results(errors_of(scores), layouts, unmoved=["b"])
    assert first == OutputResult("a", -1, (100.0, 1.0), {"nearest": (0.5, 0.25)})
    assert second == OutputResult("b", None, (4.0,), {"nearest": (0.125,)}, False)
