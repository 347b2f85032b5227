"""The fixed-point grid, and the grid point that is closest to real weights."""

from onnx_evoq.quantize.grid.closest_point import closest_codes
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.fixed_point import (
    Bits,
    FixedPoint,
    GridSpec,
    QuantizedWeight,
    Scale,
    dequantize,
    fit,
    int_bits,
    nearest,
    packed_size,
    packed_steps,
)
from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import RowGrid, covering_grid, row_channels, row_grid
from onnx_evoq.quantize.grid.hessian import MANY_COLUMNS, FactoredHessian, cost, single_move_costs
from onnx_evoq.quantize.grid.layer_matrix import Dense, Linear, Window
from onnx_evoq.quantize.grid.pair_exchange import pair_exchange
from onnx_evoq.quantize.grid.sum_preserving import cost_with_sums, sum_preserving_roundings

__all__ = [
    "MANY_COLUMNS",
    "Bits",
    "Dense",
    "FactoredHessian",
    "FixedPoint",
    "GridSpec",
    "Linear",
    "QuantizedWeight",
    "RowGrid",
    "Scale",
    "Window",
    "closest_codes",
    "coordinate_descent",
    "cost",
    "cost_with_sums",
    "covering_grid",
    "dequantize",
    "fit",
    "gptq_rounding",
    "int_bits",
    "nearest",
    "packed_size",
    "packed_steps",
    "pair_exchange",
    "row_channels",
    "row_grid",
    "single_move_costs",
    "sum_preserving_roundings",
]
