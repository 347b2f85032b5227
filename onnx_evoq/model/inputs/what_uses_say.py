"""What the uses of an input say of its values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowIndex:
    """Indices of the rows of a tensor: ``scale * value + offset``.

    Attributes:
        tensor: the name of the tensor.
        axis: the axis that is indexed; None where each index is a row of `places`, which holds a
            number for each of the first axes.
        constant: whether the tensor is a constant of the model.
        places: the name of the tensor of indices.
        scale: the largest factor of the values.
        offset: the largest number that is added to them.
    """

    tensor: str
    axis: int | None
    constant: bool = False
    places: str = ""
    scale: float = 1.0
    offset: float = 0.0

    def below(self, rows: int) -> int:
        """The number of values that are indices of so many rows; 1 at least."""
        return max(1, int((rows - 1 - self.offset) // self.scale) + 1)


@dataclass(frozen=True)
class InputUses:
    """What a model does with the values of an input.

    Attributes:
        rows: the tensors whose rows they name.
        classes: the length of the one-hot codes that they become.
        compared: the constants that they are compared with.
        passing: of a mask, the value that lets all pass.
        decides: whether they choose a branch of an If, or end a Loop.
        lengths: whether they are lengths of sequences.
        size: whether they are the size of a tensor.
        angle: whether sines or cosines of them are computed.
        otherwise: whether they are used in yet another way.
    """

    rows: tuple[RowIndex, ...] = ()
    classes: int | None = None
    compared: tuple[float, ...] = ()
    passing: float | None = None
    decides: bool = False
    lengths: bool = False
    size: bool = False
    angle: bool = False
    otherwise: bool = False
