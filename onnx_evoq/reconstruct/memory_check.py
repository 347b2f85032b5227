"""Refuse a bound of memory that cannot hold a model's weights, and the matrices of a layer."""

from onnx_evoq.engine import positions_for
from onnx_evoq.errors import OptionError
from onnx_evoq.model import find_layers
from onnx_evoq.quantize import FULL
from onnx_evoq.setup import Task

_BESIDE = 250 * 10**6  # bytes that the process takes besides, with its libraries
_COPIES = 4  # of a layer's matrices that exist at a time, besides the two that are allowed for
_OF_LAYERS = 2.0  # times the floats of a layer's weight: its values, and what ONNX Runtime makes
_OF_OTHERS = 1.5  # likewise of a table: its codes, and the floats that ONNX Runtime makes of them


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
    """Check that the weights and the largest layer fit into the memory that the user allows.

    Raises:
        OptionError: they do not.
    """
    bound = task.resources.memory
    if bound is None:
        return
    layers = find_layers(task.model, task.weights)
    values = {weight.name: weight.values for weight in task.weights}
    matrices = {
        name: _COPIES * matrix_bytes(layer.linear.matrix(values[name]).shape)
        for name, layer in layers.items()
    }
    floats = {
        name: int(each.nbytes * (_OF_LAYERS if name in layers else _OF_OTHERS))
        for name, each in values.items()
    }
    needed = max(matrices.values(), default=0) + sum(floats.values()) - _BESIDE
    if needed <= bound:
        return
    least = f"allow {needed / 1e6:.0f} MB or more (--memory), or keep it float (--keep)."
    layer = max(matrices, key=lambda name: matrices[name], default="")
    weight = max(floats, key=lambda name: floats[name])
    if layer and matrices[layer] >= floats[weight]:
        raise OptionError(
            f"memory {bound / 1e6:.0f} MB cannot hold layer {layer!r}, whose matrices take "
            f"{matrices[layer] / _COPIES / 1e6:.0f} MB each: {least}"
        )
    raise OptionError(
        f"memory {bound / 1e6:.0f} MB cannot hold weight {weight!r}, whose floats take "
        f"{values[weight].nbytes / 1e6:.0f} MB: {least}"
    )
