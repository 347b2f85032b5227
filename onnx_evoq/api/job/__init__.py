"""Opens a job from what a user gives, and ends it with the emitted model and its scores."""

from onnx_evoq.api.job.emitted_model import emitted_model
from onnx_evoq.api.job.open_job import DataSource, ModelSource, PolicySource, prepare_job
from onnx_evoq.api.job.widths import chosen_width, one_granularity, widths_of

__all__ = [
    "DataSource",
    "ModelSource",
    "PolicySource",
    "chosen_width",
    "emitted_model",
    "one_granularity",
    "prepare_job",
    "widths_of",
]
