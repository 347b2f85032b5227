"""All layers quantized by themselves at all widths, with their sensitivities."""

from onnx_evoq.mixed_precision.layer_table.layer_table import LayerTable, build_layer_table

__all__ = [
    "LayerTable",
    "build_layer_table",
]
