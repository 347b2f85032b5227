"""Reconstruction: codes of a layer that keep its output, in closed form.

The columns x come from the model as quantized so far, and the targets t from the float model. With
H = E[x x^T] and C = E[t x^T]:

1. The best float weight for these inputs is W* = W + (C - W H)(H + d I)^-1 (`best_weight`). The
   damping d, a share of the mean of H's diagonal, is the one whose W* fits held-out samples best.
2. The grid covers the range of W* or has a smaller step, whichever costs less (`step_choice`).
3. The codes are the grid point closest to W* for the Hessian H + d I, with a damping from a
   hundredth to one: a hundredth where there are many positions for each column (`closest_point`).
4. The bias takes up the remaining error of the mean: b = E[t] - step * Q E[x].

If the activation behind the layer hides some errors, t depends on the layer's own output
(`activation`). Then the best weight and its bias are found a few times, each time for the targets
that follow from the last ones. Steps and codes are found for the last targets, and codes once more,
with the same steps, for the targets that follow from those codes.

Of many columns the damping is chosen once, and codes that only serve to find targets are those of
GPTQ rounding.

If steps may be any numbers, steps and codes are then improved in turn (`step_refit`).
"""

from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.executors import HERE, Executor
from onnx_evoq.quantize.closed_form.effort import FULL, Effort
from onnx_evoq.quantize.closed_form.moment_equations import MomentEquations
from onnx_evoq.quantize.closed_form.sample_equations import SampleEquations
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.closed_form.step_refit import refit_steps
from onnx_evoq.quantize.grid import (
    MANY_COLUMNS,
    FixedPoint,
    GridSpec,
    Hessian,
    Linear,
    QuantizedWeight,
    RowGrid,
    row_grid,
    single_move_costs,
)
from onnx_evoq.quantize.moments import LayerSamples
from onnx_evoq.quantize.rows import codes_of_rows

# Rounding needs more damping than W* where samples are many, and less where they are few.
_HESSIAN_DAMPINGS = (0.01, 1.0)
_HESSIAN_DAMPING_IF_W_FITS = 0.3  # where W itself fits unseen data best
MOST_PRODUCTS_FOR_RESTARTS = 3e6  # rows * columns^2 of a layer, which 25 copies cost many times


@dataclass(frozen=True, eq=False)
class LayerReconstruction:
    """A layer on its grid.

    Attributes:
        quantized: codes and grid.
        bias: (channels,), the bias for these codes, if the layer has one; (uses, channels) if
            the model uses the weight several times.
        up: how much the error of the layer's output changes if a code moves by +1, in the weight's
            shape; infinite where the code is the largest.
        down: the same for a move by -1; infinite where the code is the smallest.
        spread: (channels,), the standard deviation of the output; its root mean square for a layer
            without a bias.
        best_weight: W*, in the weight's shape.
    """

    quantized: QuantizedWeight
    bias: Float32Array
    up: Float32Array
    down: Float32Array
    spread: Float32Array
    best_weight: Float32Array

    def without_details(self) -> "LayerReconstruction":
        """Without what only a search for better codes needs, which is empty, to save memory."""
        empty = np.empty(0, np.float32)
        return replace(self, up=empty, down=empty, best_weight=empty)


Equations = MomentEquations | SampleEquations


def reconstruct_with_activation(
    weight: Float32Array,
    layer: Linear,
    samples: LayerSamples,
    spec: GridSpec,
    effort: Effort = FULL,
    rng: np.random.Generator | None = None,
    executor: Executor = HERE,
) -> LayerReconstruction:
    """The codes of one layer that keep the output of the activation behind it (`activation`).

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        samples: the layer's columns and targets, and the activation behind it.
        spec: the weight's bits, axis, scale and type.
        effort: how much work it may be.
        rng: draws restarts; None for no restarts.
        executor: works on parts of the rows; it does not change the result.
    """
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    equations: Equations = (
        SampleEquations.of(matrix, samples) if samples.few else MomentEquations.of(matrix, samples)
    )
    compares = matrix.shape[2] <= effort.compared_columns
    damping = equations.choose_damping() if compares else equations.usual_damping()
    # Of many columns, it takes much time to choose it again for other targets, and to improve codes
    # that only serve to find targets.
    few_columns = matrix.shape[2] <= MANY_COLUMNS
    best_weight, grid = equations.best_weight(damping), None
    if samples.hides_errors and effort.activation_rounds:
        for _ in range(effort.activation_rounds):
            equations = equations.behind_activation(best_weight, equations.bias(best_weight))
            best_weight = equations.best_weight(damping)
        if compares and few_columns:
            damping = equations.choose_damping()
            best_weight = equations.best_weight(damping)
        hessian = equations.hessian(_hessian_damping(damping, equations))
        grid = _steps(best_weight, hessian, layer, weight.shape, spec, effort)
        rows = row_grid(grid, layer, weight.shape)
        descends = effort.descends and few_columns
        codes = _codes(best_weight, hessian, rows, replace(effort, descends=descends), executor)
        values = rows.steps * codes
        equations = equations.behind_activation(values, equations.bias(values))
        if compares and few_columns:
            damping = equations.choose_damping()
        best_weight = equations.best_weight(damping)
    hessian = equations.hessian(_hessian_damping(damping, equations))
    if grid is None:
        grid = _steps(best_weight, hessian, layer, weight.shape, spec, effort)
    codes = _codes(best_weight, hessian, row_grid(grid, layer, weight.shape), effort, executor, rng)
    if spec.scale == "float" and effort.descends:
        grid, codes = refit_steps(best_weight, hessian, layer, weight.shape, grid, codes)
    rows = row_grid(grid, layer, weight.shape)
    biases = equations.bias(rows.steps * codes)
    up, down = (
        np.asarray(layer.weight(costs, weight.shape), np.float32)
        for costs in single_move_costs(best_weight, hessian, rows, codes)
    )
    return LayerReconstruction(
        QuantizedWeight(layer.weight(codes, weight.shape).astype(np.int8), grid),
        biases.reshape(*biases.shape[:-2], -1).astype(np.float32),
        up,
        down,
        equations.spread(best_weight),
        np.asarray(layer.weight(best_weight, weight.shape), np.float32),
    )


def _hessian_damping(damping: float, equations: Equations) -> float:
    """The damping of H for the search of codes, from that of W* where H is not well known."""
    if equations.knows_hessian:
        return _HESSIAN_DAMPINGS[0]
    if not np.isfinite(damping):
        return _HESSIAN_DAMPING_IF_W_FITS
    return float(np.clip(damping, *_HESSIAN_DAMPINGS))


def _steps(
    best_weight: Float64Array,
    hessian: Hessian,
    layer: Linear,
    shape: tuple[int, ...],
    spec: GridSpec,
    effort: Effort,
) -> FixedPoint:
    return choose_steps(best_weight, hessian, layer, shape, spec, descending=effort.descends)


def _codes(
    best_weight: Float64Array,
    hessian: Hessian,
    rows: RowGrid,
    effort: Effort,
    executor: Executor,
    rng: np.random.Generator | None = None,
) -> Float64Array:
    """The codes of W*, (groups, rows, columns), with restarts only if there is an `rng`."""
    products = best_weight.size * best_weight.shape[2]
    restarts = effort.restarts if products <= MOST_PRODUCTS_FOR_RESTARTS else 0
    return codes_of_rows(
        best_weight, hessian, rows, executor,
        descends=effort.descends, restarts=restarts, rng=rng if restarts else None,
    )  # fmt: skip
