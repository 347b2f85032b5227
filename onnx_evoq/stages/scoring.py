"""Bring a model, samples and a metric together: score a whole model, or one weight's candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx_evoq.batch import Array, Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Cut, Model, cut_at, serialize, suffix, uncut
from onnx_evoq.score import Evaluator, Metric, Session, Target, predict
from onnx_evoq.signature import TensorSpec

# Crossing tensors that would take more are computed again for each candidate instead.
CACHE_BYTES = 2 * 2**30

Feeds = list[dict[str, Array]]


@dataclass(frozen=True)
class ScoringSet:
    """Samples in batches, and what their outputs are scored against."""

    batches: Sequence[Batch]
    target: Target

    def scored_by(self, metric: Metric) -> "ScoringSet":
        """The same samples, scored by another metric."""
        return replace(self, target=replace(self.target, metric=metric))

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(batch.count for batch in self.batches)


def model_value(model: Model, scoring: ScoringSet, providers: Sequence[str] | None = None) -> float:
    """The metric of a whole model, in a fresh session."""
    session = Session(serialize(model), providers=providers)
    return scoring.target.value(predict(session, scoring.batches))


def layer_evaluators(
    model: Model,
    weight: str,
    sets: Sequence[ScoringSet],
    providers: Sequence[str] | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> list[Evaluator]:
    """An evaluator per scoring set for one weight of `model`, all on one session.

    The graph is cut at the weight. What crosses the cut is computed once and kept, unless it would
    take more than `cache_bytes`; then each candidate runs the whole model.
    """
    names = [output.name for output in model.graph.output]
    cut = cut_at(model, weight)
    batches = [batch for scoring in sets for batch in scoring.batches]
    crossing = _run_prefix(cut, batches, providers, cache_bytes)
    if crossing is None:
        cut = uncut(model, weight)
        crossing = [{} for _ in batches]
    known = [{**b.feed, **tensors} for b, tensors in zip(batches, crossing, strict=True)]
    feeds = [{name: tensors[name] for name in cut.suffix_inputs} for tensors in known]
    fixed = [{name: tensors[name] for name in cut.fixed_outputs} for tensors in known]
    tail = suffix(model, cut, [_spec(name, feeds) for name in cut.suffix_inputs])
    session = Session(serialize(tail), f"the model behind {weight!r}", providers)
    evaluators, start = [], 0
    for scoring in sets:
        end = start + len(scoring.batches)
        evaluators.append(
            Evaluator(
                session, weight, cut.dtype, feeds[start:end], fixed[start:end], names,
                scoring.batches, scoring.target,
            )
        )  # fmt: skip
        start = end
    return evaluators


def _run_prefix(
    cut: Cut, batches: Sequence[Batch], providers: Sequence[str] | None, cache_bytes: int
) -> Feeds | None:
    """The tensors that cross the cut for each batch; None if they cannot be kept.

    That is so if all of them would take too much room, or one is no tensor that NumPy knows (a
    sequence, bfloat16).
    """
    if cut.prefix is None:
        return [{} for _ in batches]
    crossing: Feeds = []
    try:
        session = Session(serialize(cut.prefix), f"the model before {cut.weight!r}", providers)
        for batch in batches:
            crossing.append(session.run(batch.feed))
            if not crossing[1:] and _bytes(crossing[0]) * len(batches) > cache_bytes:
                return None
    except ModelError:
        return None  # if it is the model that fails, the whole of it will say so
    return crossing


def _spec(name: str, feeds: Feeds) -> TensorSpec:
    """Type and shape of a tensor; an axis that changes from batch to batch is open.

    Known sizes matter: ONNX Runtime infers wrong shapes from an integer vector of unknown length.
    """
    arrays = [feed[name] for feed in feeds]
    if len({array.ndim for array in arrays}) > 1:
        return TensorSpec(name, arrays[0].dtype, None)
    sizes = zip(*(array.shape for array in arrays), strict=True)
    shape = tuple(axis[0] if len(set(axis)) == 1 else None for axis in sizes)
    return TensorSpec(name, arrays[0].dtype, shape)


def _bytes(arrays: Mapping[str, Array]) -> int:
    return sum(array.nbytes for array in arrays.values())
