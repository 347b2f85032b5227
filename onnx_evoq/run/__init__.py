"""The time budget of a run, its progress, log, history and versions, and why it ended early."""

from onnx_evoq.run.bars import bars
from onnx_evoq.run.deadline import NO_DEADLINE, Deadline
from onnx_evoq.run.history import History, Moment, Recorder
from onnx_evoq.run.installed import package_of, version_of
from onnx_evoq.run.run_log import RunLog
from onnx_evoq.run.signals import ENDING_SIGNALS, keeping_what_was_found
from onnx_evoq.run.stop import Interruption, Stopped, until_interrupted

__all__ = [
    "ENDING_SIGNALS",
    "NO_DEADLINE",
    "Deadline",
    "History",
    "Interruption",
    "Moment",
    "Recorder",
    "RunLog",
    "Stopped",
    "bars",
    "keeping_what_was_found",
    "package_of",
    "until_interrupted",
    "version_of",
]
