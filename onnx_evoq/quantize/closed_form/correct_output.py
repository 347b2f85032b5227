"""Output correction: codes of a layer, chosen again for the outputs of the whole network.

J[s, o] is the derivative of the network's outputs for sample s in the bias of channel o, a vector.
If a row of weights changes by d, its channel changes by d . x at each position. The mean of that
over positions, d . m[s] with m[s] the mean of the sample's columns, acts like a shift of the bias.
So with r[s] the errors of the network's outputs, and to first order, the codes q of the rows should
minimise

    mean_s |r[s] + sum_o J[s, o] (d_o . m[s] + b_o)|^2
        + share * sum_o mean_s |J[s, o]|^2 * (step q_o - w*_o)^T V (step q_o - w*_o)

with d_o = step (q_o - q_o before), b_o the change of the bias, and V the covariance of columns
within samples. The second term is for changes that differ from position to position. Their effect
on the network's outputs is not known, so only their size is penalized.

Rows are solved one after another, the most influential first. With the best b_o put in, the sum is
a quadratic form in q_o, and its minimum is a closest-vector problem (`closest_point`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid import FactoredHessian, RowGrid, coordinate_descent, pair_exchange

# Damping as a share of the mean of the Hessian's diagonal. If one sample decides alone, the rest of
# the Hessian is rounding error: the second share, of the diagonal without the bias, is for that.
_OUTPUT_DAMPING = 1e-3
_OUTPUT_DAMPING_WITHOUT_BIAS = 1e-6


@dataclass(frozen=True, eq=False)
class LinearizedOutput:
    """The network's outputs as a linear function of one layer's weights and biases.

    Attributes:
        means: m, the mean columns of each sample, (samples, groups, columns).
        within: V, the covariance of columns within samples, (groups, columns, columns).
        jacobian: J, derivatives of the outputs in the biases, (samples, groups * rows, outputs).
        errors: r, errors of the outputs, (samples, outputs).
    """

    means: Float64Array
    within: Float64Array
    jacobian: Float64Array
    errors: Float64Array


def correct_codes(
    codes: Float64Array,
    best_weight: Float64Array,
    grid: RowGrid,
    output: LinearizedOutput,
    share: float,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Float64Array, Float64Array]:
    """Codes and changes of the biases that lower the error of the network's outputs.

    Args:
        codes: the codes so far, (groups, rows, columns).
        best_weight: W*, (groups, rows, columns).
        grid: the steps and limits of the rows.
        output: the network's outputs as a function of this layer.
        share: the weight of changes that differ from position to position.
        stop: whether time is up. The rows of least influence then keep their codes.

    Returns:
        The new codes, (groups, rows, columns), and the change of each bias, (groups * rows,).
    """
    _, rows, columns = codes.shape
    samples, channels, _ = output.jacobian.shape
    codes, bias_changes, errors = codes.copy(), np.zeros(channels), output.errors.copy()
    low, high = (np.broadcast_to(limit, grid.steps.shape) for limit in (grid.low, grid.high))
    influence = np.square(output.jacobian).sum(axis=(0, 2)) / samples  # (groups * rows,)
    for channel in np.argsort(-influence):
        if not influence[channel] > 0 or stop():
            break
        group, row = divmod(int(channel), rows)
        mean, jacobian = output.means[:, group], output.jacobian[:, channel]  # (samples, ...)
        before = grid.steps[group, row] * codes[group, row]  # (columns,)
        # Derivatives of half the sum: first and second ones in the weights and in the bias.
        weight = np.square(jacobian).sum(axis=1) / samples  # (samples,)
        pull = (jacobian * errors).sum(axis=1) / samples  # (samples,)
        gradient, bias_gradient = pull @ mean, pull.sum()
        hessian, bias_hessian = (mean * weight[:, None]).T @ mean, weight.sum()
        mixed = weight @ mean  # in the weights and the bias, (columns,)
        trace = float(np.trace(hessian))
        within = share * influence[channel] * output.within[group]
        # The best bias change is -(bias_gradient + mixed . change) / bias_hessian.
        hessian += within - np.outer(mixed, mixed) / bias_hessian
        gradient += within @ (before - best_weight[group, row])
        gradient -= mixed * bias_gradient / bias_hessian
        damping = max(_OUTPUT_DAMPING * np.trace(hessian), _OUTPUT_DAMPING_WITHOUT_BIAS * trace)
        hessian += (damping / columns + 1e-300) * np.eye(columns)
        target = before - np.linalg.solve(hessian, gradient)
        problem = (
            target[None, None],
            FactoredHessian(hessian[None]),
            RowGrid(*(each[None, group, row, None] for each in (grid.steps, low, high))),
        )
        best = coordinate_descent(*problem, codes[None, None, group, row])
        best = pair_exchange(*problem, best)[0, 0]
        change = grid.steps[group, row] * best - before
        bias_changes[channel] = -(bias_gradient + mixed @ change) / bias_hessian
        codes[group, row] = best
        errors += jacobian * (mean @ change + bias_changes[channel])[:, None]
    return codes, bias_changes
