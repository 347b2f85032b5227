"""The values that the public functions return, and the tables and pictures made of them."""

from onnx_evoq.report.charts import check_drawing
from onnx_evoq.report.front_picture import check_picture, search_picture
from onnx_evoq.report.mixed_precision_report import MixedPrecision
from onnx_evoq.report.page import RESULT, page_of_file, report_page, write_twins
from onnx_evoq.report.results import (
    ACTIVATION,
    ActivationResult,
    Coverage,
    Evaluation,
    Inspection,
    LayerResult,
    OutputResult,
    Result,
    Sensitivity,
    SensitivityRow,
    Uncovered,
    Verification,
    WeightInfo,
    activation_results,
    coverage_of,
    errors_of,
    output_results,
)
from onnx_evoq.report.search_report import Search, search_text
from onnx_evoq.report.summary import (
    layer_results,
    notes_on,
    notes_on_fit,
    notes_on_nearest,
    notes_on_size,
    weight_info,
)
from onnx_evoq.report.tables import (
    evaluation_text,
    inspection_text,
    result_text,
    sensitivity_text,
)
from onnx_evoq.report.texts import size, table
from onnx_evoq.report.verification_text import verification_text

__all__ = [
    "ACTIVATION",
    "RESULT",
    "ActivationResult",
    "Coverage",
    "Evaluation",
    "Inspection",
    "LayerResult",
    "MixedPrecision",
    "OutputResult",
    "Result",
    "Search",
    "Sensitivity",
    "SensitivityRow",
    "Uncovered",
    "Verification",
    "WeightInfo",
    "activation_results",
    "check_drawing",
    "check_picture",
    "coverage_of",
    "errors_of",
    "evaluation_text",
    "inspection_text",
    "layer_results",
    "notes_on",
    "notes_on_fit",
    "notes_on_nearest",
    "notes_on_size",
    "output_results",
    "page_of_file",
    "report_page",
    "result_text",
    "search_picture",
    "search_text",
    "sensitivity_text",
    "size",
    "table",
    "verification_text",
    "weight_info",
    "write_twins",
]
