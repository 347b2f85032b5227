"""The name, type and shape of a model's input, and what its graph says of an output."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TensorSpec:
    """The declaration of a model's input.

    Attributes:
        name: the name of the tensor.
        dtype: its NumPy type.
        shape: one entry per axis, None for an axis that the model leaves open. The whole shape is
            None if the model does not even state the rank.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    @property
    def kind(self) -> str:
        """The type of its values in words."""
        return "text" if self.dtype.kind in "OSU" else str(self.dtype)

    def describe(self) -> str:
        """The type and shape in words, for messages.

        Example:
            >>> TensorSpec("x", np.dtype("float32"), (None, 3, 32, 32)).describe()
            'float32 (n, 3, 32, 32)'
        """
        if self.shape is None:
            return f"{self.kind} of any shape"
        axes = ", ".join("n" if size is None else str(size) for size in self.shape)
        return f"{self.kind} ({axes})"


@dataclass(frozen=True)
class OutputHint:
    """What a model's graph says of the values of an output.

    Attributes:
        channels: how many channels the layers before it give; empty where that is not known.
        probabilities: whether a single value is a probability (behind a Sigmoid, say) or a logit;
            None where that is not known.
    """

    channels: frozenset[int] = frozenset()
    probabilities: bool | None = None
