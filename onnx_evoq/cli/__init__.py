"""The command line."""

from onnx_evoq.cli.commands import main
from onnx_evoq.cli.option_types import BYTES, NUMBERS

__all__ = [
    "BYTES",
    "NUMBERS",
    "main",
]
