"""How sensitive the model's output is to each part of a weight.

The sensitivity of a part is the error of the model's output (nmse) with that part alone quantized
and all else float. It is measured at one width and with the first granularity. At other widths and
granularities it is taken to be in proportion to the error of the layer's own output.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.engine import Evaluators, samples_in_time
from onnx_evoq.mixed_precision.layer_table.variants import LayerVariants
from onnx_evoq.mixed_precision.search_space import REFERENCE_WIDTH, SPLIT_SHARES, Space
from onnx_evoq.setup import Task

_SENSITIVITY_SAMPLES = 256
_TIME_PARTS = 6  # of the time left, one of which all measurements may take
_OVERFLOW_ERROR = 1e9  # stands for an error that is no finite number


def measure_sensitivity(task: Task, space: Space, layers: LayerVariants) -> Float64Array:
    """The output's error with one part of the float model quantized.

    Where time is short, it is measured on fewer samples, the first ones. For parts that are not
    measured in time, the output's error is taken to be in proportion to the layer's own, too.

    Returns:
        (parts, granularities, widths).
    """
    scoring = task.search_set.first(_SENSITIVITY_SAMPLES).scored_by_relative_error()
    deadline = task.deadline.share(_TIME_PARTS)
    scoring = samples_in_time(scoring, len(space.parts), task.seconds, deadline)
    evaluators = Evaluators([scoring], task.resources, share=0.5)
    sensitivity = layer_errors(space, layers, split=0)
    steps = task.steps.of("sensitivity", (sensitivity,))
    kept = steps.load("all")
    if kept is not None:
        return np.asarray(kept.arrays["sensitivity"], np.float64)
    ratios = list[float]()  # of the output's error to the layer's own
    unmeasured = list[int]()
    with task.progress("sensitivity", len(sensitivity)) as step:
        for name, indices in space.indices.items():
            if deadline.passed:
                unmeasured.extend(indices)
                continue
            names = [name, layers.biases[name]] if name in layers.biases else [name]
            (evaluator,) = evaluators.at(layers.model, *names)
            for index in indices:
                width = REFERENCE_WIDTH
                while width and not sensitivity[index, 0, width] > 0:
                    width -= 1  # all codes are exact there
                variant = layers.of[name][0][0][width]
                measured = evaluator.value(layers.assemble(name, [(space.parts[index], variant)]))
                own = sensitivity[index, 0, width]
                if own > 0:
                    sensitivity[index] /= own
                    sensitivity[index] *= measured if np.isfinite(measured) else _OVERFLOW_ERROR
                    ratios.append(measured / own if np.isfinite(measured) else np.inf)
                step(1)
    if ratios and unmeasured:
        sensitivity[unmeasured] *= min(float(np.median(ratios)), _OVERFLOW_ERROR)
    if not unmeasured:
        steps.save("all", {"sensitivity": sensitivity})
    return sensitivity


def split_factors(space: Space, layers: LayerVariants) -> Float64Array:
    """The error of a layer's own output with split inputs, as a multiple of that without.

    Returns:
        (parts, granularities, widths, split shares); 1 where the error without is 0.
    """
    unsplit = layer_errors(space, layers, split=0)
    errors = [layer_errors(space, layers, split) for split in range(len(SPLIT_SHARES))]
    return np.stack(
        [np.divide(e, unsplit, out=np.ones_like(unsplit), where=unsplit > 0) for e in errors],
        axis=-1,
    )


def layer_errors(space: Space, layers: LayerVariants, split: int) -> Float64Array:
    """The error of the layer's own output that each part causes.

    Args:
        space: the parts.
        layers: the variants of their weights.
        split: index in `SPLIT_SHARES`, of the channels that the layers read.

    Returns:
        (parts, granularities, widths).
    """
    return np.array(
        [
            [
                [
                    variant.costs[slice(None) if part.channels is None else part.channels].sum()
                    for variant in variants[split]
                ]
                for variants in layers.of[part.weight]
            ]
            for part in space.parts
        ]
    )
