"""The codes of a layer's rows, with the work shared."""

from onnx_evoq.quantize.rows.row_codes import codes_of_rows

__all__ = ["codes_of_rows"]
