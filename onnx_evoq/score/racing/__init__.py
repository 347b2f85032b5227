"""When candidates are compared, and what the first losses of one foretell."""

from onnx_evoq.score.racing.forecast import COMPARED_AT, comparison_batches, forecast

__all__ = ["COMPARED_AT", "comparison_batches", "forecast"]
