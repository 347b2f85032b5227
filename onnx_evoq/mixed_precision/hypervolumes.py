"""How much of what could be reached a front dominates, beside uniform widths and greedy choices."""

from collections.abc import Callable

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.mixed_precision.search import ParetoFront
from onnx_evoq.search import hypervolume


def hypervolumes(
    front: ParetoFront, fitness: Callable[[float], float], in_file: bool = False
) -> dict[str, float]:
    """The share of a box that front, uniform widths and greedy choices dominate, on held-out data.

    The box reaches from the best size and error of all points to the worst of the uniform widths;
    sizes and errors are taken as logarithms (errors as they are, if one is not positive). Points
    whose error is no finite number dominate nothing; NaN stands for all shares if the uniform
    widths have no other.

    Args:
        front: what was found.
        fitness: of a value of the metric.
        in_file: whether the file's size counts, instead of the packed one.
    """
    rows = {"front": front.points, "uniform": front.uniform, "greedy": front.greedy}
    values = {
        name: np.array([[p.bytes(in_file), fitness(p.heldout)] for p in points]).reshape(-1, 2)
        for name, points in rows.items()
    }
    values = {name: points[np.isfinite(points[:, 1])] for name, points in values.items()}
    if not len(values["uniform"]):
        return dict.fromkeys(rows, float("nan"))
    everything = np.concatenate(list(values.values()))
    logarithm = np.array([True, bool((everything[:, 1] > 0).all())])

    def placed(points: Float64Array) -> Float64Array:
        return np.where(logarithm, np.log(np.where(logarithm, points, 1.0)), points)

    box = placed(values["uniform"])
    low, high = np.minimum(box.min(axis=0), placed(everything).min(axis=0)), box.max(axis=0)
    size = np.where(high > low, high - low, 1.0)
    return {
        name: hypervolume((placed(points) - low) / size, [1.0, 1.0])
        for name, points in values.items()
    }
