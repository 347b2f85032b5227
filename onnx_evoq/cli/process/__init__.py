"""The process of a command: its standard streams, and the signals that end it."""

from onnx_evoq.cli.process.signals import EndedAtOnce, Signals
from onnx_evoq.cli.process.streams import ARGUMENTS, Commands

__all__ = [
    "ARGUMENTS",
    "Commands",
    "EndedAtOnce",
    "Signals",
]
