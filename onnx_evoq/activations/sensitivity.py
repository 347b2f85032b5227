"""The sensitivity of activations: the score of the model when each of them alone is quantized."""

import numpy as np

from onnx_evoq.activations.placement import Activations, integer_tensor
from onnx_evoq.engine import Evaluators
from onnx_evoq.model import as_network, with_switches
from onnx_evoq.progress import Progress, silent
from onnx_evoq.run import Deadline
from onnx_evoq.setup import DEFAULT_RESOURCES, Resources, ScoringSet


def activation_sensitivity(
    activations: Activations,
    scoring: ScoringSet,
    deadline: Deadline,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> dict[str, float]:
    """The metric of the float model with each activation alone quantized, by name.

    Args:
        activations: the activations and their grids.
        scoring: the scoring set.
        deadline: the time after which no activation is measured any more.
        resources: what the runs may use.
        progress: shows how many activations are done.

    Returns:
        By name, in the graph's order; those that were not measured in time have NaN.
    """
    grids = {tensor.name: activations.grids[tensor.scale] for tensor in activations.tensors}
    tensors = {name: integer_tensor(grid) for name, grid in grids.items()}
    model, switches = with_switches(
        activations.float_model,
        {
            name: (
                tensors[name].scale,
                tensors[name].zero_point,
                grid.zero_point + grid.low,
                grid.zero_point + grid.high,
            )
            for name, grid in grids.items()
        },
    )
    off = {switch: np.array(False) for switch in switches.values()}
    (evaluator,) = Evaluators([scoring], resources).at_whole_model(as_network(model), *off)
    found = {}
    with progress("sensitivity of activations", len(switches)) as step:
        for name, switch in switches.items():
            on = {**off, switch: np.array(True)}
            found[name] = float("nan") if deadline.passed else evaluator.value(on)
            step(1)
    return found
