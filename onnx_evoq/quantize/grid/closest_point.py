"""The grid point closest to real weights, where distance is the error of the layer's output.

The minimum over whole codes q of the cost (step * q - w)^T H (step * q - w) (`hessian`) is a
closest-vector problem. Three algorithms follow each other, and each starts where the one before it
ended: GPTQ rounding (`gptq`), coordinate descent (`descent`) and pair exchange (`exchange`). The
last two never raise the cost.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import FactoredHessian, cost
from onnx_evoq.quantize.grid.pair_exchange import pair_exchange


def closest_codes(weights: Float64Array, hessian: FactoredHessian, grid: RowGrid) -> Float64Array:
    """Codes near the minimum of the cost, (groups, rows, columns); whole numbers.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H, (groups, columns, columns), positive definite.
        grid: the steps and limits of the rows.

    Example:
        >>> w, h = np.array([[[0.7, 0.6]]]), np.array([[[1.0, 0.9], [0.9, 1.0]]])
        >>> grid = RowGrid(np.ones((1, 1, 1)), -8, 7)
        >>> closest_codes(w, FactoredHessian(h), grid)  # nearest rounding gives 1, 1
        array([[[1., 0.]]])
    """
    codes = _descended(weights, hessian, grid, gptq_rounding(weights, hessian, grid))
    # About one row in two hundred ends above nearest rounding: it starts from there instead.
    rounded = grid.nearest(weights)
    worse = cost(weights, hessian, grid, rounded) < cost(weights, hessian, grid, codes)
    if not worse.any():
        return codes
    return _descended(weights, hessian, grid, np.where(worse[:, :, None], rounded, codes))


def _descended(
    weights: Float64Array, hessian: FactoredHessian, grid: RowGrid, codes: Float64Array
) -> Float64Array:
    codes = coordinate_descent(weights, hessian, grid, codes)
    return pair_exchange(weights, hessian, grid, codes)
