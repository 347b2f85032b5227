"""Output correction: choose a layer's codes again by their effect on the network's output.

The layers are corrected one after the other, in the graph's order. For each layer

1. the bias of each channel is shifted and the network is run, which gives the Jacobian J of the
   outputs in the biases (of a sketch of the outputs, if they have many values);
2. the means of the columns for each sample, and their covariance within samples, are gathered from
   the model with its present weights;
3. new codes and a new bias follow in closed form from the search set (`quantize.correct_codes`);
   they are accepted if they lower the fitness on the held-out set, and do not raise it on the
   search set: where few samples have most of the error, they may all lie in one of the sets.

The passes over all layers end when the time is up, or when a pass gains too little. A layer is
skipped if the runs for its Jacobian would take longer than its share of the time.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.engine import (
    Evaluators,
    LayerActivations,
    Sketch,
    float_outputs,
    jacobian_of_bias,
)
from onnx_evoq.model import Layer, find_layers, initializer_values
from onnx_evoq.quantize import (
    LinearizedOutput,
    QuantizedWeight,
    arrays_of,
    correct_codes,
    row_grid,
    weight_of,
)
from onnx_evoq.reconstruct.columns_of_samples import columns_of_samples
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel
from onnx_evoq.record import Steps, set_state, state_of
from onnx_evoq.run import Deadline, Stopped, until_interrupted
from onnx_evoq.setup import Task

_WITHIN_SHARES = (0.5, 2.0)  # of `correct_codes`, tried until new codes are accepted
_LAYER_PRODUCTS = 2e12  # the most products that correcting a layer may cost
_PRODUCTS_PER_SECOND = 2e10
_JACOBIAN_VALUES = 2**27  # the most values of a Jacobian
_PASSES = 3
_PASS_GAIN = 0.01  # share of the fitness that a pass must gain for another one to follow


def correct_outputs(
    task: Task, start: QuantizedModel, rng: np.random.Generator
) -> tuple[QuantizedModel, int, Stopped | None]:
    """Choose codes and biases again by their effect on the network's output.

    Args:
        task: the task.
        start: its reconstruction.
        rng: draws positions of samples and directions of the sketch.

    Returns:
        The corrected reconstruction, how many candidates for biases were run, and why the
        correction ended early; None if it did not.
    """
    if not float_outputs(task.search_set):
        return start, 0, None
    layers = [
        layer
        for name, layer in find_layers(start.model, task.weights).items()
        if name in start.layers and layer.has_one_bias
    ]
    correction = _Correction(task, start, rng)
    with until_interrupted() as interruption:
        for index in range(_PASSES):
            before = correction.fitness
            steps = task.steps.part(f"pass {index + 1}")
            correction.run_pass(layers, f"output correction {index + 1}", steps)
            gain = before - correction.fitness
            if task.deadline.passed or not gain > _PASS_GAIN * abs(before):
                break
    return correction.best, correction.evaluations, interruption.reason or correction.stopped


class _Correction:
    """Corrects layers of a reconstruction, and keeps the corrections that are accepted.

    Attributes:
        best: the reconstruction with all corrections that were accepted.
        fitness: the fitness of `best` on the held-out set; lower is better.
        evaluations: how many candidates for biases were run.
        stopped: `Stopped.TIME` if a layer was skipped for lack of time, else None.

    Args:
        task: the task.
        start: the reconstruction to begin with.
        rng: draws positions of samples and directions of the sketch.
    """

    def __init__(self, task: Task, start: QuantizedModel, rng: np.random.Generator) -> None:
        self._task = task
        self._rng = rng
        self._sketch = Sketch(task.search_set, rng)
        self._evaluators = Evaluators([task.search_set], task.resources, share=0.5)
        self._activations = LayerActivations(task.search_set.batches, task.resources, share=0.5)
        self.best = start
        self.fitness = task.fitness(start.as_float)
        self._on_search = task.fitness(start.as_float, task.search_set)
        self.evaluations = 0
        self.stopped: Stopped | None = None

    def run_pass(self, layers: Sequence[Layer], label: str, steps: Steps) -> None:
        """Correct each layer once; each gets an equal share of the time left.

        A pass begins at the inputs of the model, so that one that goes on cuts it at the same
        places.

        Args:
            layers: the layers, each with a bias of its own.
            label: names the pass on the progress bar.
            steps: where the layers are kept.
        """
        self._evaluators.restart()
        self._activations.restart()
        with self._task.progress(label, len(layers)) as step:
            for index, layer in enumerate(layers):
                if not self._restored(layer, steps):
                    before = self.best
                    deadline = self._task.deadline.share(len(layers) - index)
                    linearized = self._linearized(layer, deadline)
                    if linearized is not None:
                        self._correct(layer, linearized, deadline)
                    if self.stopped is None:  # what the time cut short may go on with more
                        self._keep(layer, steps, changed=self.best is not before)
                best = self._task.heldout_set.criterion.metric.value_of(self.fitness)
                step(1, layer=layer.weight, best=best, evaluations=self.evaluations)

    def _keep(self, layer: Layer, steps: Steps, *, changed: bool) -> None:
        """Keep what was found for a layer, and all that later layers depend on."""
        arrays: dict[str, Array] = {"fitness": np.array([self.fitness, self._on_search])}
        if changed and layer.bias is not None:
            arrays |= arrays_of(self.best.quantized[layer.weight])
            arrays["bias"] = initializer_values(self.best.model, [layer.bias])[layer.bias]
        steps.save(
            layer.weight, arrays, evaluations=self.evaluations, random=state_of(self._rng),
        )  # fmt: skip

    def _restored(self, layer: Layer, steps: Steps) -> bool:
        """Take what is kept of a layer, if it is there; the caches go past its cut."""
        kept = steps.load(layer.weight)
        if kept is None:
            return False
        assert layer.bias is not None
        if self._affordable(layer):
            self._evaluators.passes(self.best.as_float, layer.bias)
            self._activations.passes(self.best.as_float, layer.weight)
        if "bias" in kept.arrays:
            bias = np.asarray(kept.arrays["bias"], np.float32)
            self.best = _with(self.best, layer, weight_of(kept.arrays), bias)
        self.fitness, self._on_search = kept.arrays["fitness"].tolist()
        self.evaluations = kept.facts["evaluations"]
        set_state(self._rng, kept.facts["random"])
        return True

    def _correct(self, layer: Layer, linearized: LinearizedOutput, deadline: Deadline) -> None:
        """Try new codes of a layer, and accept the first that pass the rule of step 3."""
        for share in _WITHIN_SHARES:
            if deadline.passed:
                self.stopped = Stopped.TIME
                return
            tried = _corrected(self.best, layer, linearized, share, deadline)
            fitness = self._task.fitness(tried.as_float)
            if not fitness < self.fitness:
                continue
            on_search = self._task.fitness(tried.as_float, self._task.search_set)
            if not on_search > self._on_search and self._task.allows(tried.as_float):
                self.best, self.fitness, self._on_search = tried, fitness, on_search
                return

    def _linearized(self, layer: Layer, deadline: Deadline) -> LinearizedOutput | None:
        """The network's output as a linear function of a layer's output.

        None if the layer is too large, if its columns cannot be gathered, or if time is short.
        """
        assert layer.bias is not None
        emitted = self.best.as_float
        bias = initializer_values(self.best.model, [layer.bias])[layer.bias]
        if not self._affordable(layer):
            return None
        short = self._products(layer) > _PRODUCTS_PER_SECOND * deadline.left
        if short or not self._task.has_time_for_a_run:
            self.stopped = Stopped.TIME
            return None
        (evaluator,) = self._evaluators.at(emitted, layer.bias)
        spread = self.best.layers[layer.weight].spread
        probed = jacobian_of_bias(evaluator, layer.bias, bias, spread, self._sketch, deadline)
        self.evaluations += evaluator.evaluations
        if probed is None:
            self.stopped = Stopped.TIME
            return None
        shape = self.best.quantized[layer.weight].codes.shape
        columns = columns_of_samples(self._activations, emitted, layer, shape, self._rng)
        return None if columns is None else LinearizedOutput(*columns, *probed)

    def _affordable(self, layer: Layer) -> bool:
        """Whether a layer costs little enough."""
        assert layer.bias is not None
        bias = initializer_values(self.best.model, [layer.bias])[layer.bias]
        of_sample = bias.size * self._sketch.size  # values of the Jacobian
        few = self._task.search_set.samples * of_sample <= _JACOBIAN_VALUES
        return few and self._products(layer) <= _LAYER_PRODUCTS

    def _products(self, layer: Layer) -> float:
        """About how many products new codes of a layer cost."""
        best_weight = self.best.layers[layer.weight].best_weight
        groups, rows, columns = layer.linear.matrix(best_weight).shape
        return float(groups * rows * columns**2 * (self._task.search_set.samples + columns))


def _corrected(
    now: QuantizedModel,
    layer: Layer,
    linearized: LinearizedOutput,
    share: float,
    deadline: Deadline,
) -> QuantizedModel:
    """Give a layer the codes and the bias that are best for the linearized output."""
    assert layer.bias is not None
    bias = initializer_values(now.model, [layer.bias])[layer.bias]
    codes, grid = now.quantized[layer.weight]
    linear = layer.linear
    matrix, bias_shifts = correct_codes(
        linear.matrix(codes).astype(np.float64),
        linear.matrix(now.layers[layer.weight].best_weight).astype(np.float64),
        row_grid(grid, linear, codes.shape),
        linearized,
        share,
        lambda: deadline.passed,
    )
    weight = QuantizedWeight(linear.weight(matrix, codes.shape).astype(np.int8), grid)
    return _with(now, layer, weight, bias + bias_shifts.reshape(bias.shape).astype(np.float32))


def _with(
    now: QuantizedModel, layer: Layer, weight: QuantizedWeight, bias: Float32Array
) -> QuantizedModel:
    """The reconstruction with other codes and another bias of a layer."""
    assert layer.bias is not None
    return replace(
        now,
        model=now.model.with_values({layer.bias: bias}),
        quantized={**now.quantized, layer.weight: weight},
    )
