"""The command that the others belong to."""

from commands import FUNCTIONS, invoke

from onnx_evoq.cli import main


def test_all_commands_belong_to_it() -> None:
    assert set(main.commands) == {*FUNCTIONS, "report"}


def test_versions_name_what_results_depend_on() -> None:
    assert invoke("--version").stdout.startswith("onnx-evoq ")
