"""Why weights start from nearest rounding, although others have a closed form."""

from onnx_evoq.model import Weight
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.setup import Task


def asked_for(task: Task) -> dict[str, str]:
    """The reason for all weights where the user asked for nearest rounding, by name."""
    return {weight.name: "nearest rounding was asked for" for weight in task.weights}


def why_nearest(task: Task, start: QuantizedModel, better: bool) -> dict[str, str]:
    """The reason for each weight that starts from nearest rounding, by name.

    Args:
        task: the task.
        start: the model where the search starts.
        better: whether all do, since that was better than the reconstruction.
    """

    def reason(weight: Weight) -> str:
        if better:
            return "nearest rounding was better"
        if weight.name in start.late:
            return "for lack of time"
        if weight.name in start.unreached:
            return "in a branch that no sample takes"
        if weight.op_type == "Gather":
            return "rows that are looked up"
        return f"{weight.op_type} without a closed form here"

    nearest = start.late.union(start.nearest)
    return {weight.name: reason(weight) for weight in task.weights if weight.name in nearest}
