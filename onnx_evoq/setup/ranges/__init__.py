"""Finds the range of the values that a model expects of its inputs."""

from onnx_evoq.setup.ranges.fitted_range import fitted_range
from onnx_evoq.setup.ranges.input_range import scaled_range
from onnx_evoq.setup.ranges.layer_scale import range_by_scale

__all__ = ["fitted_range", "range_by_scale", "scaled_range"]
