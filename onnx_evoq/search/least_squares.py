"""A damped least-squares step, damped as much as data that it was not fitted to ask for."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DAMPINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_FOLDS = 4


def damped_step(jacobian: Floats, errors: Floats, samples: int) -> NDArray[np.float64] | None:
    """The step d that lowers ``|errors + jacobian d|^2``, (parameters,).

    With the columns of J at unit length, d = -(J^T J + damping I)^-1 J^T e. The damping is chosen
    by cross validation over samples; None where every step would raise what it was not fitted to.

    Args:
        jacobian: (samples * outputs, parameters), sample by sample.
        errors: (samples * outputs,).
        samples: how many there are.

    Example:
        >>> x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
        >>> damped_step(x, -2 * x[:, 0], 40).round(2)
        array([1.99])
    """
    length = np.sqrt((jacobian.astype(np.float64) ** 2).sum(axis=0))  # (parameters,)
    length = np.where(length > 0, length, 1.0)
    unit = (jacobian / length).astype(np.float32)
    fold = np.repeat(np.arange(samples) % _FOLDS, len(errors) // samples)
    squares, slopes = [], []
    for k in range(_FOLDS):
        part = unit[fold == k]
        squares.append((part.T @ part).astype(np.float64))
        slopes.append((part.T @ errors[fold == k]).astype(np.float64))
    square, slope = sum(squares), np.sum(slopes, axis=0)
    eye = np.eye(unit.shape[1])
    losses = {}
    for damping in DAMPINGS:
        loss = 0.0
        for own, aside in zip(squares, slopes, strict=True):
            step = np.linalg.solve(square - own + damping * eye, aside - slope)
            loss += float(step @ own @ step + 2 * step @ aside)  # what it adds on its own fold
        losses[damping] = loss
    best = min(losses, key=lambda damping: losses[damping])
    if not losses[best] < 0:
        return None
    return np.asarray(-np.linalg.solve(square + best * eye, slope) / length)
