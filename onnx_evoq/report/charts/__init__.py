"""HTML in which all text is escaped, and charts as SVG in the colours of a page."""

from onnx_evoq.report.charts.figure_svg import check_drawing
from onnx_evoq.report.charts.histogram import histogram
from onnx_evoq.report.charts.line_charts import (
    convergence_chart,
    depth_chart,
    front_chart,
    sensitivity_chart,
    stages_chart,
)
from onnx_evoq.report.charts.markup import (
    Markup,
    cell,
    code,
    command_box,
    data_table,
    element,
    joined,
)

__all__ = [
    "Markup",
    "cell",
    "check_drawing",
    "code",
    "command_box",
    "convergence_chart",
    "data_table",
    "depth_chart",
    "element",
    "front_chart",
    "histogram",
    "joined",
    "sensitivity_chart",
    "stages_chart",
]
