"""Codes of a layer, chosen again by what they do to the end of the network.

Shifting the bias of channel o by a little moves the network's outputs for sample s by J[s, o]. If a
row of weights changes by d, the channel moves by d . x at each position; its mean over positions,
d . m[s] with m[s] the mean of the sample's columns, acts like a shift of the bias. So with r[s]
what is wrong with the outputs, and to first order, the rows' codes q should minimise

    mean_s |r[s] + sum_o J[s, o] (d_o . m[s] + b_o)|^2
        + share * sum_o mean_s |J[s, o]|^2 * (step q_o - w*_o)^T V (step q_o - w*_o)

where d_o = step (q_o - q_o before), b_o moves the bias, and the second term is for what differs
from position to position: V is the covariance of columns within samples. What that does to the end
of the network is not known, so that only its size is asked for.

Rows are taken one by one, the most influential first. For each of them the sum is a quadratic form
in q_o once the best b_o is put in, and its minimum a closest-vector problem (`lattice`).
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid import Limit, coordinate_descent, pair_exchange

_HESSIAN_DAMPING = 1e-3  # share of the mean of the diagonal
_NOISE = 1e-6  # the same, before the bias takes its part


@dataclass(frozen=True, eq=False)
class LinearizedOutput:
    """What is known of a layer and of the end of the network.

    Attributes:
        means: m, (samples, groups, columns).
        within: V, (groups, columns, columns).
        jacobian: J, (samples, groups * rows, outputs).
        errors: r, (samples, outputs).
    """

    means: Float64Array
    within: Float64Array
    jacobian: Float64Array
    errors: Float64Array


def correct_codes(
    codes: Float64Array,
    best_weight: Float64Array,
    steps: Float64Array,
    known: LinearizedOutput,
    low: Limit,
    high: Limit,
    share: float,
) -> tuple[Float64Array, Float64Array]:
    """New codes, (groups, rows, columns), and how far the biases move, (groups * rows,).

    Args:
        codes: the codes so far.
        aim: W*, in the same shape.
        steps: (groups, rows, 1).
        known: of the layer.
        low: smallest code, of all or of each row (groups, rows, 1).
        high: largest code, likewise.
        share: how much what differs from position to position counts.
    """
    _, rows, columns = codes.shape
    samples = len(known.means)
    found, moves, wrong = codes.copy(), np.zeros(known.jacobian.shape[1]), known.errors.copy()
    least, most = (np.broadcast_to(limit, steps.shape) for limit in (low, high))
    influence = np.square(known.jacobian).sum(axis=(0, 2)) / samples  # (groups * rows,)
    for channel in np.argsort(-influence):
        if not influence[channel] > 0:
            break
        group, row = divmod(int(channel), rows)
        mean, within = known.means[:, group], share * influence[channel] * known.within[group]
        reach = known.jacobian[:, channel]  # (samples, outputs)
        weight = np.square(reach).sum(axis=1) / samples  # (samples,)
        pull = (reach * wrong).sum(axis=1) / samples
        # Second and first derivatives in the weights, and in the bias.
        hessian = (mean * weight[:, None]).T @ mean
        both, own = weight @ mean, weight.sum()
        slope, bias_slope = pull @ mean, pull.sum()
        whole = float(np.trace(hessian))
        hessian += within - np.outer(both, both) / own
        slope += within @ (steps[group, row] * found[group, row] - best_weight[group, row])
        slope -= both * bias_slope / own
        # Where one sample decides alone, what is left is rounding: the second share is for that.
        size = max(_HESSIAN_DAMPING * np.trace(hessian), _NOISE * whole)
        hessian += (size / columns + 1e-300) * np.eye(columns)
        before = steps[group, row] * found[group, row]  # (columns,)
        target = before - np.linalg.solve(hessian, slope)
        problem = (target[None, None], hessian[None], steps[None, group, row, None])
        limits = least[None, group, row, None], most[None, group, row, None]
        best = coordinate_descent(*problem, found[None, None, group, row], *limits)
        best = pair_exchange(*problem, best, *limits)[0, 0]
        change = steps[group, row] * best - before
        moves[channel] = -(bias_slope + both @ change) / own
        found[group, row] = best
        wrong += reach * (mean @ change + moves[channel])[:, None]
    return found, moves
