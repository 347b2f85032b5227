"""Refuse a bound of memory that cannot hold the matrices of a model's largest layer."""

from onnx_evoq.engine import positions_for
from onnx_evoq.errors import OptionError
from onnx_evoq.model import find_layers
from onnx_evoq.quantize import FULL
from onnx_evoq.setup import Task

_BESIDE = 250 * 10**6  # bytes that the process takes besides, with its libraries
_COPIES = 4  # of a layer's matrices that exist at a time, besides the two that are allowed for


def matrix_bytes(shape: tuple[int, int, int]) -> int:
    """The bytes of a layer's weight and of its Hessian, or of its columns if they are fewer.

    Args:
        shape: (groups, rows, columns) of the layer's matrix.
    """
    groups, rows, columns = shape
    positions = int(positions_for(FULL.positions, shape))
    width = positions if 2 * positions <= columns else columns  # as in `SampleEquations.hessian`
    return 8 * groups * columns * (rows + width)


def check_memory(task: Task) -> None:
    """Check that the largest layer fits into the memory that the user allows.

    Raises:
        OptionError: it does not.
    """
    bound = task.resources.memory
    layers = find_layers(task.model, task.weights)
    if bound is None or not layers:
        return
    values = {weight.name: weight.values for weight in task.weights}
    sizes = {
        name: matrix_bytes(layer.linear.matrix(values[name]).shape)
        for name, layer in layers.items()
    }
    largest = max(sizes, key=lambda name: sizes[name])
    in_weights = sum(each.nbytes for each in values.values())
    needed = _COPIES * sizes[largest] + 2 * in_weights - _BESIDE
    if needed > bound:
        raise OptionError(
            f"memory {bound / 1e6:.0f} MB cannot hold layer {largest!r}, whose matrices take "
            f"{sizes[largest] / 1e6:.0f} MB each: allow {needed / 1e6:.0f} MB or more (--memory), "
            "or keep it float (--keep)."
        )
