"""Numbers, sizes, counts and columns as text."""

from onnx_evoq.report.texts.shown_numbers import (
    DASH,
    accuracy,
    duration,
    percent,
    plain,
    seconds_by_layer,
    signed,
    step_text,
    within,
)
from onnx_evoq.report.texts.text import (
    WIDTH,
    counted,
    metric_label,
    number,
    size,
    table,
    width_range,
)

__all__ = [
    "DASH",
    "WIDTH",
    "accuracy",
    "counted",
    "duration",
    "metric_label",
    "number",
    "percent",
    "plain",
    "seconds_by_layer",
    "signed",
    "size",
    "step_text",
    "table",
    "width_range",
    "within",
]
