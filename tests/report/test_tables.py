"""Tables of results: columns, numbers and sizes, within 80 characters."""

from dataclasses import replace
from typing import Any

from onnx_evoq.model import Model, Skipped
from onnx_evoq.quantize import Bits
from onnx_evoq.report import (
    Evaluation,
    Inspection,
    Result,
    Sensitivity,
    SensitivityRow,
    evaluation_text,
    inspection_text,
    result_text,
    sensitivity_text,
)
from onnx_evoq.report.results import ActivationResult, LayerResult, OutputResult, WeightInfo
from onnx_evoq.report.texts.text import WIDTH
from onnx_evoq.setup import Score

LONG = "encoder.layers.11.attention.self.query.projection.weight_quantizable_" * 2


RANKING = Sensitivity(
    source="model.onnx",
    metric="mse",
    samples=12,
    reference=0.0,
    rows=(
        SensitivityRow("calm", "Gemm", (3, 6), 4, 0.25),
        SensitivityRow("touchy", "Conv", (8, 3, 3, 3), 4, 1.5),
    ),
    notes=(),
)


def test_a_ranking_keeps_its_order_and_names_the_float_score() -> None:
    lines = sensitivity_text(RANKING).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["calm", "touchy"]
    assert lines[2].split() == ["touchy", "Conv", "8x3x3x3", "4", "1.5"]
    assert lines[-1] == "float model: mse 0, 12 samples"


def test_a_scalar_is_called_so() -> None:
    ranking = replace(RANKING, rows=(SensitivityRow("one", "Gemm", (), 4, 0.25),))
    assert "scalar" in sensitivity_text(ranking)


def evaluation(**given: object) -> Evaluation:
    """An evaluation by agreement, unless `given` says otherwise."""
    values = {"agreement": 1.0, "mse": 0.5, "kl": 0.125, "notes": (), **given}
    return Evaluation("model.onnx", values.pop("metric", "top1"), 0.75, 12, **values)  # type: ignore[arg-type]


def test_an_evaluation_shows_what_the_reference_says() -> None:
    lines = evaluation_text(evaluation()).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["top1", "agreement", "mse", "kl", "samples"]


def test_an_evaluation_shows_no_metric_twice() -> None:
    assert evaluation_text(evaluation(metric="mse")).count("mse") == 1


def test_an_evaluation_without_a_reference_shows_none() -> None:
    assert "reference" not in evaluation_text(evaluation(agreement=None, mse=None, kl=None))


def weight(name: str) -> WeightInfo:
    """A convolution's weight of that name."""
    packed = {bits: 27 * bits for bits in range(2, 9)}
    return WeightInfo(
        name, "Conv", ("stem",), (8, 3, 3, 3), "float32", 0, -1.5, 0.5, 1, packed, None
    )


def test_an_inspection_adds_the_bytes_up() -> None:
    shown = inspection_text(Inspection("m.onnx", 5000, (), (weight("a"), weight("b")), ()))
    total = next(line for line in shown.splitlines() if line.startswith("all weights"))
    assert total.startswith("all weights (file 5 kB)")
    assert total.split()[5:7] == ["432", "B"]


def test_a_model_without_weights_is_called_so() -> None:
    assert "no weights to quantize" in inspection_text(Inspection("m.onnx", 50, (), (), ()))


def test_an_inspection_of_long_names_fits_80_columns() -> None:
    shown = inspection_text(Inspection("m.onnx", 5000, (), (weight(LONG),), ()))
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_a_result_counts_weights_by_their_widths_and_bytes_packed_and_in_the_file() -> None:
    widths: list[Bits] = [4, (6, 2, 3), 3, (4, 4), 4]
    layers = [LayerResult("w", bits, 3, None, None, None) for bits in widths]
    score = Score(0.5, 0.25)
    result = Result(
        Model(), "m.onnx", 4, "channel", "pow2", 0, "mse",
        dict.fromkeys(("reference", "nearest", "start", "evolved"), score), tuple(layers),
        44_500, 8_200, 6_150, 0, 1.0, None, (), {},
    )  # fmt: skip
    lines = result_text(result, "m.w4.onnx").splitlines()
    assert " ".join(lines[-4:-2]) == (
        "5 weights (1 at 2-6 bits, 1 at 3 bits, 3 at 4 bits), 0 searched; 0 evaluations in 1.0 s"
    )
    assert max(map(len, lines)) <= WIDTH
    assert lines[-1] == "44.5 kB -> 8.2 kB (packed 6.15 kB)  m.w4.onnx"


def test_reasons_are_listed_once_with_the_names_that_they_hold_for() -> None:
    weights = tuple(replace(weight(name), no_expansion="it is read twice") for name in "ab")
    skipped = (
        Skipped("c", "float32", (3,), "biases stay float"),
        Skipped("d" * 90, "float32", (3,), "biases stay float"),
    )
    shown = inspection_text(Inspection("m.onnx", 5000, ("norm",), weights, skipped))
    assert "\nChannels that cannot be split:\n     2  it is read twice: a, b\n" in shown
    assert "\n1 BatchNormalization node folded.\n" in shown
    assert "\nNot weights:\n     2  biases stay float: c, .." in shown
    rows = [line.split()[-1] for line in shown.splitlines()[1:3]]
    assert rows == ["-", "-"]


def test_a_long_reason_and_a_long_name_share_a_line() -> None:
    skipped = (Skipped("n" * 90, "float32", (3,), "r" * 90),)
    line = inspection_text(Inspection("m.onnx", 1, (), (), skipped)).splitlines()[-1]
    assert len(line) == WIDTH
    count, reason, names = line.split()
    assert count == "1"
    assert len(reason) == WIDTH - 10 - 12 + 1  # and its colon
    assert len(names) == 12


def test_the_sizes_of_a_file_count_the_types_that_store_codes() -> None:
    shown = inspection_text(Inspection("m.onnx", 5000, (), (weight("a"),), ()))
    header, own, total, stored = shown.split("\n\n")[1].splitlines()
    assert header.split()[2::2] == ["8", "6", "4", "3", "2"]
    assert own.split()[1::2] == ["216", "162", "108", "81", "54"]
    assert total.split()[5::2] == own.split()[1::2]
    assert stored.split()[5::2] == ["216", "216", "108", "108", "54"]


def test_a_weight_is_shown_with_its_axis_and_its_range() -> None:
    lines = inspection_text(Inspection("m.onnx", 1, (), (weight("a"),), ())).splitlines()
    assert lines[1].split() == ["a", "Conv", "8x3x3x3", "0", "1", "-1.5", "0.5", "yes", "yes"]
    without = replace(weight("a"), axis=None)
    line = inspection_text(Inspection("m.onnx", 1, (), (without,), ())).splitlines()[1]
    assert line.split()[3] == "-"


def test_shares_are_percentages_and_errors_are_numbers() -> None:
    lines = evaluation_text(evaluation(agreement=0.5)).splitlines()
    assert [line.split()[-2:] for line in lines[1:3]] == [["75.00", "%"], ["50.00", "%"]]
    assert lines[3].split()[-1] == "0.5"


def result_of(
    evaluations: int, start: Score, top1: dict[str, float] | None = None, **given: Any
) -> str:
    nearest = Score(0.5, 0.25, top1)
    scores = {"reference": nearest, "nearest": nearest, "start": start, "evolved": nearest}
    layers = (LayerResult("w", 4, 3, None, None, {}), LayerResult("v", 4, 3, None, None, None))
    result = Result(
        Model(), "m.onnx", 4, "tensor", "pow2", 0, "own.py:f1", scores, layers,
        44_500, 8_200, 6_150, evaluations, 1.0, None, (), {}, **given,
    )  # fmt: skip
    return result_text(result, "out.onnx")


def test_a_start_has_a_row_where_it_is_not_nearest_rounding() -> None:
    def rows(text: str) -> list[str]:
        return [line.split()[0] for line in text.split("\n\n")[0].splitlines()[1:]]

    assert rows(result_of(7, Score(0.5, 0.25))) == ["float", "nearest", "evolved"]
    assert rows(result_of(7, Score(0.5, 0.2))) == ["float", "nearest", "start", "evolved"]
    assert rows(result_of(0, Score(0.5, 0.25))) == ["float", "nearest", "emitted"]


def test_a_search_ends_with_advice_to_score_other_data() -> None:
    assert result_of(7, Score(0.5, 0.25)).endswith("neither holds (onnx-evoq evaluate).")
    assert "evaluate" not in result_of(0, Score(0.5, 0.25))
    assert "2 weights (2 at 4 bits), 1 searched; 7 evaluations" in result_of(7, Score(0.5, 0.25))


def test_activations_have_a_line_with_the_operators_that_stay_float() -> None:
    rows = tuple(
        ActivationResult(f"t{bits}", bits, False, "uint8", 0, 0.5, 1, 0.0, 9.0, 0.0)
        for bits in (8, 4, 4)
    )
    given = {"activations": rows, "integer_ops": {"Conv": 3}}
    text = " ".join(result_of(0, Score(0.5, 0.25), **given, float_ops={"Softmax": 2}).split())
    assert "3 activations (2 at 4 bits, 1 at 8 bits); on integers 3 operators, on floats 2" in text
    assert text.index("weights (") < text.index("activations (") < text.index("44.5 kB")
    assert "on floats none" in " ".join(result_of(0, Score(0.5, 0.25), **given).split())
    assert "activation" not in result_of(0, Score(0.5, 0.25))


def test_top1_has_columns_where_labels_exist() -> None:
    top1 = {"search": 0.75, "heldout": 0.5}
    lines = result_of(7, Score(0.5, 0.25, top1), top1).splitlines()
    assert lines[0].split() == ["f1", "search", "held-out", "top1", "search", "held-out"]
    assert lines[1].split() == ["float", "0.5", "0.25", "75.00", "%", "50.00", "%"]
    assert result_of(7, Score(0.5, 0.25)).splitlines()[0].split() == ["f1", "search", "held-out"]


def test_the_errors_of_several_outputs_follow_the_scores() -> None:
    errors = {"nearest": (0.5,), "start": (0.25,), "evolved": (0.125,)}
    outputs = tuple(OutputResult(name, None, (1.0,), errors) for name in ("boxes", "scores"))
    parts = result_of(7, Score(0.5, 0.2), outputs=outputs).split("\n\n")
    assert parts[1].splitlines()[0].split()[-3:] == ["nearest", "start", "evolved"]
    assert parts[1].splitlines()[1].split() == ["boxes", "0.5", "0.25", "0.125"]
    assert parts[2].startswith("2 weights")
    one = result_of(7, Score(0.5, 0.2), outputs=outputs[:1]).split("\n\n")
    assert one[1].startswith("2 weights")


def test_an_evaluation_against_a_reference_shows_errors_by_output() -> None:
    outputs = (OutputResult("y", -1, (100.0, 1.0), {"model": (0.5, 0.25)}),)
    shown = evaluation_text(evaluation(outputs=outputs)).split("\n\n")
    assert [line.split() for line in shown[1].splitlines()[1:]] == [
        ["y[0]", "0.5"],
        ["y[1]", "0.25"],
    ]
