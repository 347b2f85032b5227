"""The power of each column that columns of less power do not explain.

Rounding with feedback lets the columns that are still to be rounded make up for an error e_j of
column j: those of less power, as the columns of most power are rounded first. What remains is
R_jj^2 e_j^2, with H + d I = R^T R: the power of x_j less what a linear combination of those columns
explains of it (`grid.matrix_hessian`). Columns of real layers explain each
other well, and some far better than others. So the whole power E[x_j^2] is a poor guide to how
exact a column must be.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.closed_form import ROUNDING_DAMPING, factored

_LEAST_SHARE = 1e-6  # of the power of the group that has most


def unexplained_power(hessian: Float64Array) -> Float64Array:
    """R_jj^2 of each column, (groups, columns); 0 in a group whose columns have no power.

    Args:
        hessian: H, (groups, columns, columns).

    Raises:
        LinAlgError: H is far from positive semidefinite.

    Example:
        >>> unexplained_power(np.array([[[1.0, 0.9], [0.9, 1.0]]])).round(2)
        array([[1.03, 0.24]])
    """
    factor = factored(hessian, ROUNDING_DAMPING).factor
    power = np.empty(factor.order.shape)
    np.put_along_axis(power, factor.order, factor.pivots, 1)
    mean = np.trace(hessian, axis1=1, axis2=2) / hessian.shape[1]  # (groups,)
    power[mean <= _LEAST_SHARE * mean.max(initial=0.0)] = 0
    return power
