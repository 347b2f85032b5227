"""Keeps what a run has found in a folder, so that it goes on after it was killed."""

from onnx_evoq.record.content import described, hash_of_arrays
from onnx_evoq.record.files import no_room_for, replacing_file
from onnx_evoq.record.random_state import set_state, state_of
from onnx_evoq.record.run import NO_RUN, Run, about_run, kept_run, versions
from onnx_evoq.record.steps import NO_STEPS, Steps

__all__ = [
    "NO_RUN",
    "NO_STEPS",
    "Run",
    "Steps",
    "about_run",
    "described",
    "hash_of_arrays",
    "kept_run",
    "no_room_for",
    "replacing_file",
    "set_state",
    "state_of",
    "versions",
]
