"""Scores models, and holds them against a reference or against their own record."""

from onnx_evoq.api.evaluation.evaluate import evaluate
from onnx_evoq.api.evaluation.verify import verify

__all__ = ["evaluate", "verify"]
