"""A page that shows a result: one HTML file with tables, charts and the commands that come next."""

from onnx_evoq.report.page.files import RESULT, page_of_file, write_twins
from onnx_evoq.report.page.page import report_page

__all__ = [
    "RESULT",
    "page_of_file",
    "report_page",
    "write_twins",
]
