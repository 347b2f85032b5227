"""The values that the public functions return, each with `to_dict()` for JSON."""

from onnx_evoq.report.results.activation_results import ActivationResult, activation_results
from onnx_evoq.report.results.coverage import Coverage, Uncovered, coverage_of
from onnx_evoq.report.results.evaluation import Evaluation
from onnx_evoq.report.results.json_values import json_values
from onnx_evoq.report.results.output_results import OutputResult, errors_of, output_results
from onnx_evoq.report.results.results import (
    ACTIVATION,
    Inspection,
    LayerResult,
    Result,
    Sensitivity,
    SensitivityRow,
    WeightInfo,
)
from onnx_evoq.report.results.verification import Verification

__all__ = [
    "ACTIVATION",
    "ActivationResult",
    "Coverage",
    "Evaluation",
    "Inspection",
    "LayerResult",
    "OutputResult",
    "Result",
    "Sensitivity",
    "SensitivityRow",
    "Uncovered",
    "Verification",
    "WeightInfo",
    "activation_results",
    "coverage_of",
    "errors_of",
    "json_values",
    "output_results",
]
