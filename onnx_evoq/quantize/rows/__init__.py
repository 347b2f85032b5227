"""The codes of a layer's rows, with the work shared."""

from onnx_evoq.quantize.rows.row_codes import codes_of_rows
from onnx_evoq.quantize.rows.sent_matrices import SentSymmetric

__all__ = ["SentSymmetric", "codes_of_rows"]
