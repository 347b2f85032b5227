"""Opens a job from what a user gives, and ends it with the emitted model and its scores."""

from onnx_evoq.api.job.best_model import BEST, with_best_kept
from onnx_evoq.api.job.emitted_model import rounded_model
from onnx_evoq.api.job.final_check import FinalCheck
from onnx_evoq.api.job.final_result import Asked, result_of
from onnx_evoq.api.job.open_job import DataSource, Job, ModelSource, PolicySource, prepare_job
from onnx_evoq.api.job.run_options import run_options
from onnx_evoq.api.job.run_state import state_of_end
from onnx_evoq.api.job.widths import chosen_width, widths_of

__all__ = [
    "BEST",
    "Asked",
    "DataSource",
    "FinalCheck",
    "Job",
    "ModelSource",
    "PolicySource",
    "chosen_width",
    "prepare_job",
    "result_of",
    "rounded_model",
    "run_options",
    "state_of_end",
    "widths_of",
    "with_best_kept",
]
