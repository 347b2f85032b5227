"""The values that the public functions return, and the tables and pictures made of them."""

from onnx_evoq.report.activation_results import ActivationResult, activation_results
from onnx_evoq.report.front_picture import check_picture, search_picture
from onnx_evoq.report.mixed_precision_report import MixedPrecision
from onnx_evoq.report.results import (
    ACTIVATION,
    Evaluation,
    Inspection,
    LayerResult,
    Result,
    Sensitivity,
    SensitivityRow,
    WeightInfo,
)
from onnx_evoq.report.search_report import Search, search_text
from onnx_evoq.report.summary import layer_results, notes_on, weight_info
from onnx_evoq.report.tables import (
    evaluation_text,
    inspection_text,
    result_text,
    sensitivity_text,
    size,
    table,
)

__all__ = [
    "ACTIVATION",
    "ActivationResult",
    "Evaluation",
    "Inspection",
    "LayerResult",
    "MixedPrecision",
    "Result",
    "Search",
    "Sensitivity",
    "SensitivityRow",
    "WeightInfo",
    "activation_results",
    "check_picture",
    "evaluation_text",
    "inspection_text",
    "layer_results",
    "notes_on",
    "result_text",
    "search_picture",
    "search_text",
    "sensitivity_text",
    "size",
    "table",
    "weight_info",
]
