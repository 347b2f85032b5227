"""The command line."""

from onnx_evoq.cli.commands import main

__all__ = [
    "main",
]
