"""All layers quantized by themselves at all widths, with their sensitivities."""

from onnx_evoq.mixed_precision.layer_table.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.layer_table.variants import LayerVariants, Variant

__all__ = [
    "LayerTable",
    "LayerVariants",
    "Variant",
    "build_layer_table",
]
