"""What a model's input looks like: plain data that the rooms hand to each other."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TensorSpec:
    """Name, type and shape of a model's input.

    Attributes:
        name: the tensor's name.
        dtype: its NumPy type.
        shape: one entry per axis, None where the model leaves the size open; None for the whole
            shape where the model does not even state the rank.
        below: for indices into a table, the number of its rows.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...] | None
    below: int | None = None

    def describe(self) -> str:
        """The spec as a reader would write it: ``float32 (n, 3, 32, 32)``."""
        if self.shape is None:
            return f"{self.dtype} of any shape"
        axes = ", ".join("n" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} ({axes})"
