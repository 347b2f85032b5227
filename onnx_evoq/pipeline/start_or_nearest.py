"""Whether a search starts from a reconstruction, or from nearest rounding where that is better."""

from collections.abc import Mapping, Sequence

from onnx_evoq.model import as_network
from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.setup import Task, run_model

_FEW_HELDOUT = 32  # samples that may show that nearest rounding is no better
_MOST_SAMPLES = 0.75  # share of these
_NAMES = 3  # weights that a note names


def rounded_to_nearest(task: Task, bits: Mapping[str, Bits]) -> QuantizedModel:
    """Round all weights to the nearest."""
    start = task.nearest(task.weights, bits)
    return QuantizedModel(as_network(task.model), start, {}, tuple(start))


def _is_better(task: Task, rounded: QuantizedModel, start: QuantizedModel) -> bool:
    """Whether nearest rounding is better than a reconstruction on the held-out set.

    It seldom is: a few samples are enough to see that most of them prefer the reconstruction.
    """
    metric, few = task.heldout_set.criterion.metric, task.heldout_set.first(_FEW_HELDOUT)
    models = rounded.as_float, start.as_float
    if metric.against != "user" and few.samples >= _FEW_HELDOUT:
        of_rounded, of_start = (
            few.criterion.per_sample(run_model(model, few.batches, task.resources))
            for model in models
        )
        worse = of_rounded < of_start if metric.higher_is_better else of_rounded > of_start
        if worse.mean() > _MOST_SAMPLES:
            return False
    mine, others = (task.fitness(model) for model in models)
    return mine < others


def or_nearest(
    task: Task, start: QuantizedModel
) -> tuple[QuantizedModel, tuple[str, ...], Stopped | None]:
    """The reconstruction, or nearest rounding if that is better; notes; and why it ended early.

    On Ctrl-C it is the reconstruction.

    Args:
        task: the task, with the widths of the reconstruction.
        start: the reconstruction.
    """
    notes = [start.cut] if start.cut else []
    with until_interrupted() as interruption:
        if start.layers:
            rounded = rounded_to_nearest(task, task.bits)
            if _is_better(task, rounded, start) and task.allows(rounded.as_float):
                why = "nearest rounding was better than reconstruction on the held-out samples"
                return rounded, (*notes, f"{why}, and is used instead."), None
    count = len(start.quantized)
    without = [name for name in start.nearest if name not in start.unreached]
    if without:
        notes.append(
            f"{len(without)} of {count} weights have no closed form and start from nearest "
            f"rounding ({_listed(without)})."
        )
    if start.unreached:
        notes.append(
            f"{len(start.unreached)} of {count} weights are in branches that no sample takes, and "
            f"start from nearest rounding ({_listed(start.unreached)}): give samples that take "
            "them, too."
        )
    return start, tuple(notes), interruption.reason


def _listed(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
