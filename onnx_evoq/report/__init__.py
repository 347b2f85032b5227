"""Knows how a result looks: the values that the public functions return, and their tables."""

from onnx_evoq.report.results import (
    Evaluation,
    Inspection,
    LayerResult,
    Result,
    Score,
    Sensitivity,
    SensitivityRow,
    SkippedInfo,
    WeightInfo,
)
from onnx_evoq.report.summary import (
    describe,
    layer_results,
    name_of,
    notes_on,
    score_of,
    weight_info,
)
from onnx_evoq.report.tables import (
    evaluation_text,
    inspection_text,
    result_text,
    sensitivity_text,
)

__all__ = [
    "Evaluation",
    "Inspection",
    "LayerResult",
    "Result",
    "Score",
    "Sensitivity",
    "SensitivityRow",
    "SkippedInfo",
    "WeightInfo",
    "describe",
    "evaluation_text",
    "inspection_text",
    "layer_results",
    "name_of",
    "notes_on",
    "result_text",
    "score_of",
    "sensitivity_text",
    "weight_info",
]
