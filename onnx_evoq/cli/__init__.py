"""The command line."""

from onnx_evoq.cli.commands import main
from onnx_evoq.cli.options import BYTES, NUMBERS
from onnx_evoq.cli.verify_command import verify

__all__ = [
    "BYTES",
    "NUMBERS",
    "main",
    "verify",
]
