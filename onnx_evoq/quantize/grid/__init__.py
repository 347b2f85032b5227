"""The fixed-point grid, and the grid point that is closest to real weights."""

from onnx_evoq.quantize.grid.closest_point import closest_codes
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import RowGrid, covering_grid, row_channels, row_grid
from onnx_evoq.quantize.grid.hessian import (
    MANY_COLUMNS,
    Floats,
    Hessian,
    cost,
    single_move_costs,
)
from onnx_evoq.quantize.grid.matrix_hessian import (
    CholeskyFactor,
    FactoredHessian,
    MatrixProducts,
)
from onnx_evoq.quantize.grid.pair_exchange import pair_exchange
from onnx_evoq.quantize.grid.random_restarts import random_restarts
from onnx_evoq.quantize.grid.sample_hessian import SampleHessian
from onnx_evoq.quantize.grid.sum_preserving import cost_with_sums, sum_preserving_roundings
from onnx_evoq.quantize.weights import (
    Bits,
    Dense,
    FixedPoint,
    GridSpec,
    Linear,
    QuantizedWeight,
    Scale,
    View,
    Viewed,
    Window,
    arrays_of,
    dequantize,
    fit,
    frac_bits_of,
    int_bits,
    nearest,
    packed_size,
    packed_steps,
    weight_of,
)

__all__ = [
    "MANY_COLUMNS",
    "Bits",
    "CholeskyFactor",
    "Dense",
    "FactoredHessian",
    "FixedPoint",
    "Floats",
    "GridSpec",
    "Hessian",
    "Linear",
    "MatrixProducts",
    "QuantizedWeight",
    "RowGrid",
    "SampleHessian",
    "Scale",
    "View",
    "Viewed",
    "Window",
    "arrays_of",
    "closest_codes",
    "coordinate_descent",
    "cost",
    "cost_with_sums",
    "covering_grid",
    "dequantize",
    "fit",
    "frac_bits_of",
    "gptq_rounding",
    "int_bits",
    "nearest",
    "packed_size",
    "packed_steps",
    "pair_exchange",
    "random_restarts",
    "row_channels",
    "row_grid",
    "single_move_costs",
    "sum_preserving_roundings",
    "weight_of",
]
