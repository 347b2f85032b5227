"""The command line."""

from onnx_evoq.cli.commands import main
from onnx_evoq.cli.options import BYTES, NUMBERS

__all__ = [
    "BYTES",
    "NUMBERS",
    "main",
]
