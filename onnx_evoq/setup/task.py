"""The task of a run: the float model, the grids of its weights, the scoring sets, the limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from onnx_evoq.batch import Batch
from onnx_evoq.model import (
    Model,
    Network,
    Quantized,
    Runnable,
    Weight,
    initializer_values,
    weights_named,
)
from onnx_evoq.progress import Progress, silent
from onnx_evoq.quantize import Bits, QuantizedWeight, Scale
from onnx_evoq.record import NO_STEPS, Steps
from onnx_evoq.run import Deadline
from onnx_evoq.setup.drop import MaxDropCheck
from onnx_evoq.setup.grids import Granularities, nearest_of
from onnx_evoq.setup.scoring import DrawnOtherwise, OwnOutputs, ScoringSet, model_value
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources
from onnx_evoq.targets import ONNXRUNTIME, Target


@dataclass(frozen=True)
class Task:
    """All inputs of a quantization algorithm, in one value that its steps pass on.

    A task says which weights of which float model are quantized to which grids, on which samples
    candidates are scored, and within which limits. Its values never change. A step that changes
    the model's biases or scales returns them in a `QuantizedModel`: from there on, values of
    weights are those of its `model`, while the task still names the weights.

    Attributes:
        model: the float model.
        weights: the weights that are quantized, in the graph's order.
        bits: the width of each weight's codes, by name; a tuple gives each channel a width of its
            own, which needs one step per channel.
        granularity: one step per tensor or per output channel; for all weights, or by name.
        scale: "pow2" for steps that are powers of two, "float" for any.
        search_set: the samples on which candidates are compared.
        heldout_set: the samples on which a candidate must be better, too, before it is accepted.
        deadline: the time at which the algorithms stop.
        max_drop_check: says whether a model loses no more than the user allows; None for no limit.
        resources: what the runs may use.
        progress: shows how far the work is.
        seconds: that the float model took for one sample; 0 if that was not measured.
        few: a few samples for quick checks; None to take the first batch of the search set.
        narrow_range: whether the lowest code of 8 bits, -128, is left out.
        target: what the runtime takes that the model is for.
        activation_bits: width of the codes of activations; None if they stay floats.
        activation_scale: as `scale`, for activations.
        has_classes: whether labels are classes, so that models have a top-1.
        seed: of the whole run, which emitted models state.
        own: the outputs that an emitted model has; None for those of `model`.
        behind: the widths of the weights that have no effect on where the model is scored, by name.
        codes_behind: their codes, of those that have a closed form.
        steps: where the steps of the algorithms are kept.
        otherwise: samples that are drawn in other ways, where the range of inputs is a mere guess;
            None where it is not.
        memory: bytes of activations by which it is decided what is too large. A run that goes on
            decides as it did before, whatever it may use now.
    """

    model: Model
    weights: Sequence[Weight]
    bits: Mapping[str, Bits]
    granularity: Granularities
    scale: Scale
    search_set: ScoringSet
    heldout_set: ScoringSet
    deadline: Deadline
    max_drop_check: MaxDropCheck | None = None
    resources: Resources = DEFAULT_RESOURCES
    progress: Progress = silent
    seconds: float = 0.0
    few: Batch | None = None
    narrow_range: bool = False
    target: Target = ONNXRUNTIME
    activation_bits: int | None = None
    activation_scale: Scale = "pow2"
    has_classes: bool = False
    seed: int = 0
    own: OwnOutputs | None = None
    behind: Mapping[str, Bits] = field(default_factory=dict)
    codes_behind: Quantized = field(default_factory=dict)
    otherwise: DrawnOtherwise | None = None
    steps: Steps = NO_STEPS
    memory: int = 2**40

    def part(self, *names: str) -> "Task":
        """The same task for a part of the run, whose steps are kept apart from others."""
        return replace(self, steps=self.steps.part(*names))

    def nearest(
        self, weights: Sequence[Weight], bits: Mapping[str, Bits]
    ) -> dict[str, QuantizedWeight]:
        """Round weights to the nearest codes of widths, by name, on grids like those of the task.

        Args:
            weights: the weights.
            bits: the width of each of them.
        """
        return nearest_of(weights, bits, self.granularity, self.scale, narrow=self.narrow_range)

    @property
    def rounded_behind(self) -> list[str]:
        """The names of the weights that nothing scores, and that have no closed form."""
        return [name for name in self.behind if name not in self.codes_behind]

    def with_behind(
        self, model: Network, quantized: Quantized, *, nearest: bool = False
    ) -> dict[str, QuantizedWeight]:
        """Quantized weights, and those that nothing scores.

        Args:
            model: the model with its present values. A weight whose scale it has changed has the
                nearest codes.
            quantized: the other weights by name.
            nearest: whether all that nothing scores have the nearest codes.
        """
        if not self.behind:
            return dict(quantized)
        now = initializer_values(model, self.behind)
        weights = [
            replace(each, values=now[each.name]) for each in weights_named(model.model, self.behind)
        ]
        before = initializer_values(self.model, self.codes_behind)
        codes = {
            name: found
            for name, found in self.codes_behind.items()
            if not nearest and np.array_equal(now[name], before[name])
        }
        return {**quantized, **self.nearest(weights, self.behind), **codes}

    def fitness(self, model: Runnable, scoring: ScoringSet | None = None) -> float:
        """The metric of a model on a scoring set, with its sign such that lower is better.

        Args:
            model: the model.
            scoring: the samples; None for the held-out set.
        """
        scoring = scoring or self.heldout_set
        return scoring.criterion.metric.fitness(model_value(model, scoring, self.resources))

    @property
    def has_time_for_a_run(self) -> bool:
        """Whether the time left is enough to run a model on the search set once."""
        return self.deadline.left > self.seconds * self.search_set.samples

    def allows(self, model: Runnable) -> bool:
        """Whether a model's drop is at most the user's max drop; always, if there is no limit."""
        return self.max_drop_check is None or self.max_drop_check(model)
