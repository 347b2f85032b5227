"""Compares a front with uniform widths and greedy bit allocation by their hypervolumes."""

from collections.abc import Callable

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.mixed_precision.search import ParetoFront
from onnx_evoq.search import hypervolume


def hypervolumes(
    front: ParetoFront, fitness: Callable[[float], float], in_file: bool = False
) -> dict[str, float]:
    """The shares of a box that front, uniform and greedy points dominate on held-out data.

    The box reaches from the best size and error of all points to the worst of the uniform points.
    Sizes and errors are taken as logarithms; errors are taken as they are if one is not positive.
    Points whose error is not finite dominate nothing. All shares are NaN if no uniform point has a
    finite error.

    Args:
        front: the front, the uniform points and the greedy points.
        fitness: turns a value of the metric into an error, which is minimised.
        in_file: whether the size is that of the file, instead of the packed size.

    Returns:
        The share of "front", of "uniform" and of "greedy", each between 0 and 1.
    """
    points_of = {"front": front.points, "uniform": front.uniform, "greedy": front.greedy}
    objectives = {
        name: np.array([[p.bytes(in_file), fitness(p.heldout)] for p in points]).reshape(-1, 2)
        for name, points in points_of.items()
    }  # (points, 2) each
    objectives = {name: rows[np.isfinite(rows[:, 1])] for name, rows in objectives.items()}
    if not len(objectives["uniform"]):
        return dict.fromkeys(points_of, float("nan"))
    everything = np.concatenate(list(objectives.values()))
    logarithmic = np.array([True, bool((everything[:, 1] > 0).all())])  # sizes, errors

    def scaled(rows: Float64Array) -> Float64Array:
        return np.where(logarithmic, np.log(np.where(logarithmic, rows, 1.0)), rows)

    worst = scaled(objectives["uniform"]).max(axis=0)
    best = scaled(everything).min(axis=0)
    extent = np.where(worst > best, worst - best, 1.0)
    return {
        name: hypervolume((scaled(rows) - best) / extent, [1.0, 1.0])
        for name, rows in objectives.items()
    }
