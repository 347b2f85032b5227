"""Tune biases against the end of the network.

Biases stay float, so that they may take any value. One channel's bias is shifted, what follows is
run, and the differences of the model's outputs are a column of their Jacobian; a damped
least-squares step over all biases then lowers the error of the outputs against the float model's.

1. The Jacobian is taken on the search set, the damping chosen by cross validation on it, and the
   step is taken if it lowers the fitness on the held-out set; else half of it, else none.
2. Outputs of many values are sketched.
3. Layers near the end are cheap to probe, so that they come first; when time is up, the others keep
   their biases.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.model import (
    Model,
    initializer_values,
    replace_weights,
    with_codes,
)
from onnx_evoq.search import damped_step
from onnx_evoq.stages.engine import Engine
from onnx_evoq.stages.probing import probe
from onnx_evoq.stages.reconstruction import Reconstructed
from onnx_evoq.stages.scoring import model_value
from onnx_evoq.stages.sketch import Sketch, float_outputs
from onnx_evoq.stages.task import Task

Floats = NDArray[np.float32]

_MOST = 2**27  # values of the Jacobian


def tune_biases(
    task: Task,
    start: Reconstructed,
    spreads: Mapping[str, Floats],
    rng: np.random.Generator,
) -> tuple[Model, int]:
    """The float model with other biases, or as it is; and how many candidates were scored.

    Args:
        task: what there is to do; half of the time left is spent on probing at most.
        start: the codes, and the biases that go with them.
        spreads: the deviation of each channel of a layer's output, by the bias's name, in the
            graph's order.
        rng: draws the sketch.
    """
    if not float_outputs(task.search_set):
        return start.model, 0
    emitted = with_codes(start.model, start.quantized)
    biases = initializer_values(start.model, spreads)
    probed = _probe(task, emitted, biases, spreads, Sketch(task.search_set, rng))
    if probed is None:
        return start.model, 0
    solved = damped_step(probed.jacobian, probed.errors, task.search_set.samples)
    if solved is None:
        return start.model, probed.evaluations
    metric = task.heldout_set.target.metric

    def fitness(model: Model) -> float:
        emitted = with_codes(model, start.quantized)
        return metric.fitness(model_value(emitted, task.heldout_set, task.resources.providers))

    before = fitness(start.model)
    for share in (1.0, 0.5):
        changed, done = {}, 0
        for name in probed.names:
            size = biases[name].size
            move = solved[done : done + size].reshape(biases[name].shape)
            changed[name], done = (biases[name] + share * move).astype(np.float32), done + size
        tuned = replace_weights(start.model, changed)
        if fitness(tuned) < before:
            return tuned, probed.evaluations
    return start.model, probed.evaluations


@dataclass(frozen=True, eq=False)
class _Probed:
    """What shifting biases does.

    Attributes:
        names: of the biases, in the order of the columns.
        jacobian: (samples * sketch, channels).
        errors: (samples * sketch,) of the model as it is.
        evaluations: candidates that were run.
    """

    names: list[str]
    jacobian: Floats
    errors: Floats
    evaluations: int


def _probe(
    task: Task,
    emitted: Model,
    biases: Mapping[str, Floats],
    spreads: Mapping[str, Floats],
    sketch: Sketch,
) -> _Probed | None:
    """Shift biases one by one; None if there is time or room for no layer."""
    deadline, engine = task.deadline.share(2), Engine([task.search_set], task.resources)
    room = _MOST // (task.search_set.samples * sketch.size)
    errors: NDArray[np.float64] | None = None
    columns: list[Floats] = []
    names: list[str] = []
    evaluations = 0
    with task.progress("biases", sum(bias.size for bias in biases.values())) as step:
        for name in reversed(list(spreads)):
            bias = biases[name]
            if deadline.passed or len(columns) + bias.size > room:
                break
            (evaluator,) = engine.evaluators(emitted, name)
            probed = probe(evaluator, bias, spreads[name], sketch, deadline)
            evaluations += evaluator.evaluations
            if probed is None:
                break
            jacobian, errors = probed
            columns += list(jacobian.transpose(1, 0, 2).astype(np.float32))
            step(bias.size)
            names.append(name)
    if errors is None:
        return None
    stacked = np.stack(columns, axis=2).reshape(-1, len(columns))
    return _Probed(names, stacked, errors.ravel().astype(np.float32), evaluations)
