"""Pareto dominance: how to compare points with several objectives, all of them minimised.

1. A point dominates another if it is nowhere worse and somewhere better.
2. The points that no other point dominates are the first front. Without them, the next such points
   are the second front, and so on. This is the non-dominated sort of Deb et al. 2002,
   https://doi.org/10.1109/4235.996017, section III-A.
3. Within a front, a point is better if its neighbours are further away: the crowding distance,
   section III-B.
4. A set of points is better if it dominates a larger area: the hypervolume of Zitzler and Thiele
   1999, https://doi.org/10.1109/4235.797969.

A point with a NaN or an infinity among its objectives is the worst: all finite points dominate it,
and it dominates none.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnx_evoq.array_types import Float64Array, Indices


def is_finite(objectives: Float64Array) -> NDArray[np.bool_]:
    """Whether points, (..., objectives), have neither a NaN nor an infinity: (...)."""
    return np.asarray(np.isfinite(objectives).all(axis=-1))


def dominates(one: ArrayLike, other: ArrayLike) -> NDArray[np.bool_]:
    """Whether `one` is nowhere worse than `other` and somewhere better.

    Args:
        one: (..., objectives).
        other: (..., objectives), broadcast against `one`.

    Returns:
        (...).

    Example:
        >>> dominates([[1, 2], [1, 3], [0, 9]], [1, 3]).tolist()
        [True, False, False]
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    better = (one <= other).all(axis=-1) & (one < other).any(axis=-1)
    return is_finite(one) & (better | ~is_finite(other))


def non_dominated_sort(objectives: ArrayLike) -> list[Indices]:
    """Sort points into fronts, best first.

    Args:
        objectives: (points, objectives).

    Returns:
        The indices of each front's points, ascending.

    Example:
        >>> [front.tolist() for front in non_dominated_sort([[1, 3], [2, 3], [3, 1], [2, 4]])]
        [[0, 2], [1], [3]]
    """
    points = np.asarray(objectives, np.float64)
    dominated = dominates(points[:, None], points[None])  # (points, points): column by row
    dominators = dominated.sum(axis=0)  # (points,), without those that are in a front
    fronts = []
    while (front := np.flatnonzero(dominators == 0)).size:
        fronts.append(front)
        dominators[front] = -1  # in a front
        dominators -= dominated[front].sum(axis=0)
    return fronts


def crowding_distance(objectives: ArrayLike) -> Float64Array:
    """The distance between the neighbours of each point of a front: the larger, the better.

        distance_i = sum over objectives of (f_{i+1} - f_{i-1}) / (f_max - f_min)

    with the points sorted by that objective; ties keep their order. The first and the last point of
    each order have an infinite distance. An objective in which all points are equal adds nothing.

    Args:
        objectives: (points, objectives) of one front.

    Returns:
        (points,); infinite for one or two points, 0 for a NaN or an infinity.

    Example:
        >>> crowding_distance([[0, 8], [1, 2], [2, 1], [4, 0]]).tolist()
        [inf, 1.375, 1.0, inf]
    """
    points = np.asarray(objectives, np.float64)
    distance = np.zeros(len(points))
    indices = np.flatnonzero(is_finite(points))
    if len(indices) <= 2:
        distance[indices] = np.inf
        return distance
    for values in points[indices].T:
        order = np.argsort(values, kind="stable")
        values = values[order]
        spread = values[-1] - values[0]
        if spread > 0:
            distance[indices[order[1:-1]]] += (values[2:] - values[:-2]) / spread
            distance[indices[order[[0, -1]]]] = np.inf
    return distance


def hypervolume(objectives: ArrayLike, reference: ArrayLike) -> float:
    """The area that points dominate, up to a reference point: the larger, the better.

        sum over points sorted by f_0 of (f_0 of the next - f_0) * (r_1 - least f_1 so far)

    where the next of the last point is the reference r.

    Args:
        objectives: (points, 2). Points that are not better than the reference in both objectives
            add nothing.
        reference: (2,), the worst value of each objective.

    Raises:
        ValueError: the number of objectives is not two.

    Example:
        >>> hypervolume([[1, 3], [2, 1]], [4, 4])
        7.0
    """
    points, worst = np.asarray(objectives, np.float64), np.asarray(reference, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or worst.shape != (2,):
        raise ValueError(
            f"the area is of two objectives, not of points of shape {points.shape} and a reference "
            f"of shape {worst.shape}"
        )
    points = points[is_finite(points) & (points < worst).all(axis=1)]
    points = points[np.argsort(points[:, 0])]
    widths = np.diff(points[:, 0], append=worst[0])
    heights = worst[1] - np.minimum.accumulate(points[:, 1])
    return float(widths @ heights)
