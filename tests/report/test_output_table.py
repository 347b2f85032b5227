"""The table of errors by output and by part."""

from onnx_evoq.report.output_table import output_table
from onnx_evoq.report.results import OutputResult

MODELS = {"nearest": "nearest", "evolved": "emitted"}


def output(name: str, *errors: float, moves: bool = True) -> OutputResult:
    """An output whose channels are parts of their own; the emitted model halves the errors."""
    power = tuple(100.0 ** (k % 2) for k in range(len(errors)))
    halves = tuple(error / 2 for error in errors)
    return OutputResult(name, -1, power, {"nearest": errors, "evolved": halves}, moves)


def test_one_output_whose_channels_are_alike_needs_no_table() -> None:
    assert output_table([output("y", 0.5)], MODELS) == ""
    assert output_table([], MODELS) == ""


def test_each_output_and_each_part_has_a_row() -> None:
    lines = output_table([output("y", 0.5, 0.25), output("z", 1)], MODELS).splitlines()
    assert lines[0].split() == ["error", "as", "a", "share", "of", "power", "nearest", "emitted"]
    assert [line.split() for line in lines[1:]] == [
        ["y[0]", "0.5", "0.25"],
        ["y[1]", "0.25", "0.125"],
        ["z", "1", "0.5"],
    ]


def test_of_many_outputs_the_worst_are_shown_in_their_order() -> None:
    outputs = [output(f"y{k}", float(k)) for k in range(9)]
    lines = output_table(outputs, MODELS).splitlines()
    assert [line.split()[0] for line in lines[1:7]] == [f"y{k}" for k in range(3, 9)]
    assert lines[7] == "the largest of 9 parts"


def test_an_output_that_weights_do_not_move_has_no_errors() -> None:
    lines = output_table([output("y", 0.0, moves=False)], MODELS).splitlines()
    assert lines[1].split() == ["y", "-", "-"]
    assert lines[2] == "- does not depend on the weights with these inputs"


def test_an_error_that_is_no_number_is_shown() -> None:
    assert "nan" in output_table([output("y", 0.5, float("nan"))], MODELS)
