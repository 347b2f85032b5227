"""Samples that fit a model, and their split into a search set and a held-out set."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Array, Indices
from onnx_evoq.errors import DataError


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs for a model, and labels where there are any.

    Attributes:
        inputs: (samples, ...) for each of the model's inputs, in its type.
        labels: (samples, ...) in the order of the inputs, or None.
        notes: sentences for the user, about assumptions on the data.
        source: a short name for reports.
    """

    inputs: Mapping[str, Array]
    labels: Array | None = None
    notes: tuple[str, ...] = ()
    source: str = "data"

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: Indices) -> "Samples":
        """Take the samples of these indices, in this order."""
        labels = None if self.labels is None else self.labels[rows]
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        return Samples(inputs, labels, self.notes, self.source)


def split(samples: Samples, holdout: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Split samples at random into a search set and a held-out set.

    Both sets are in random order, so that the first samples of a set represent all of it.

    Args:
        samples: at least two.
        holdout: the share of samples that is held out, in (0, 1). At least one sample is held out,
            and at least one is not.
        rng: draws the held-out samples.

    Returns:
        The search set and the held-out set.

    Raises:
        DataError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise DataError(
            f"{samples.source}: one sample cannot be split into a search set and a held-out set: "
            "give at least two, better a few hundred."
        )
    held = min(max(1, round(len(samples) * holdout)), len(samples) - 1)
    order = rng.permutation(len(samples))
    return samples.take(order[held:]), samples.take(order[:held])
