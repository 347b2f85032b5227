"""What there is to do, as the steps of a search hand it on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx_evoq.model import Model, Weight
from onnx_evoq.progress import Progress, silent
from onnx_evoq.quantize import Bits, Scale
from onnx_evoq.run import Deadline
from onnx_evoq.setup.drop import MaxDropCheck
from onnx_evoq.setup.grids import Granularities
from onnx_evoq.setup.resources import DEFAULT_RESOURCES, Resources
from onnx_evoq.setup.scoring_set import ScoringSet, model_value


@dataclass(frozen=True)
class Task:
    """A model to quantize, and what decides.

    Attributes:
        model: the float model.
        weights: what is quantized, in the graph's order.
        bits: width of each weight's codes, by name; with a step per channel, a width for each
            channel where they differ.
        granularity: a step per tensor or per output channel, of all weights or by name.
        scale: steps that are powers of two, or any.
        search_set: the samples that select.
        heldout_set: the samples that accept.
        deadline: when to stop.
        guard: whether a model is still good enough; None if any is.
        resources: what may be used.
        progress: shows how far it is.
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

    def fitness(self, model: Model) -> float:
        """The fitness of a model on the held-out set."""
        value = model_value(model, self.heldout_set, self.resources)
        return self.heldout_set.target.metric.fitness(value)

    def allows(self, model: Model) -> bool:
        """Whether the guard, if there is one, finds a model good enough."""
        return self.max_drop_check is None or self.max_drop_check(model)
