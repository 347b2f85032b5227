"""The grid point closest to real weights, where distance is the error of the layer's output.

The minimum over whole codes q of the cost (step * q - w)^T H (step * q - w) (`hessian`) is a
closest-vector problem. Three algorithms follow each other, and each starts where the one before it
ended: GPTQ rounding (`gptq`), coordinate descent (`coordinate_descent`) and pair exchange
(`pair_exchange`). The last two never raise the cost.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.gptq import gptq_with_costs
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import Hessian, cost
from onnx_evoq.quantize.grid.pair_exchange import pair_exchange

_MOST_AT_ONCE = 2**22  # weights of one group: more rows are taken in parts, to save memory
# Of few columns, about one row in two hundred ends above nearest rounding.
_FEW_COLUMNS = 64


def closest_codes(weights: Float64Array, hessian: Hessian, grid: RowGrid) -> Float64Array:
    """Codes near the minimum of the cost, (groups, rows, columns); whole numbers.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H, (groups, columns, columns), positive definite.
        grid: the steps and limits of the rows.

    Example:
        >>> from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian
        >>> w, h = np.array([[[0.7, 0.6]]]), np.array([[[1.0, 0.9], [0.9, 1.0]]])
        >>> grid = RowGrid(np.ones((1, 1, 1)), -8, 7)
        >>> closest_codes(w, FactoredHessian(h), grid)  # nearest rounding gives 1, 1
        array([[[1., 0.]]])
    """
    _, rows, columns = weights.shape
    at_once = max(1, _MOST_AT_ONCE // columns)
    if rows <= at_once:
        return _closest(weights, hessian, grid)
    codes = np.empty(weights.shape)
    for start in range(0, rows, at_once):
        some = np.arange(start, min(start + at_once, rows))
        codes[:, some] = _closest(weights[:, some], hessian, grid.at(some))
    return codes


def _closest(weights: Float64Array, hessian: Hessian, grid: RowGrid) -> Float64Array:
    codes, costs = gptq_with_costs(weights, hessian, grid)
    if weights.shape[2] <= _FEW_COLUMNS:
        rounded = grid.nearest(weights)
        worse = cost(weights, hessian, grid, rounded) < costs
        codes = np.where(worse[:, :, None], rounded, codes)
    codes = coordinate_descent(weights, hessian, grid, codes)
    return pair_exchange(weights, hessian, grid, codes)
