"""Ends of commands: one line, and an exit code."""

import signal

import pytest

from onnx_evoq.cli.reporting import reporting
from onnx_evoq.errors import BudgetError, OptionError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OptionError("no\nsuch option."), 1, "no such option."),
        (BudgetError("no model holds it."), 3, "no model holds it."),
        (KeyboardInterrupt(), 130, "stopped before there was a result."),
        (
            MemoryError("running a model"), 1,
            "there is not enough memory (running a model): use fewer samples (--samples), or hold "
            "less in memory (--memory).",
        ),
    ],
)  # fmt: skip
def test_an_error_is_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        reporting(command)()
    assert end.value.code == code
    assert capsys.readouterr().err == f"Error: {said}\n"


def interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_a_command_that_keeps_what_was_found_has_the_exit_code_of_the_signal() -> None:
    with pytest.raises(SystemExit) as end:
        reporting(interrupted)()
    assert end.value.code == 143


def test_a_command_that_ends_well_has_no_exit_code() -> None:
    reporting(lambda: None)()
