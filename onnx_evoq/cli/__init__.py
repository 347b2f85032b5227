"""The command line."""

import onnx_evoq.cli.commands  # noqa: F401 - it adds commands to main
from onnx_evoq.cli.main_group import main
from onnx_evoq.cli.options import BYTES, NUMBERS
from onnx_evoq.cli.report_command import report
from onnx_evoq.cli.verify_command import verify

__all__ = [
    "BYTES",
    "NUMBERS",
    "main",
    "report",
    "verify",
]
