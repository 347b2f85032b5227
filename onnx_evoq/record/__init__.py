"""Keeps what a run has found in a folder, so that it goes on after it was killed."""

from onnx_evoq.record.content import described, hash_of_arrays
from onnx_evoq.record.files import new_folder_of_a_run, replacing_file
from onnx_evoq.record.random_state import set_state, state_of
from onnx_evoq.record.run import NO_RUN, RUN_FILE, Run, about_run, kept_run, seconds_given, versions
from onnx_evoq.record.steps import NO_STEPS, Steps
from onnx_evoq.record.unchanged import checked_text, read_object, unchanged

__all__ = [
    "NO_RUN",
    "NO_STEPS",
    "RUN_FILE",
    "Run",
    "Steps",
    "about_run",
    "checked_text",
    "described",
    "hash_of_arrays",
    "kept_run",
    "new_folder_of_a_run",
    "read_object",
    "replacing_file",
    "seconds_given",
    "set_state",
    "state_of",
    "unchanged",
    "versions",
]
