"""How many samples are read: as many as the user wants, and no more than fit into memory."""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

_LEAST = 2  # samples: one cannot be split
_SMALL = 2**28  # bytes, which the least number of samples may take in any case


@dataclass(frozen=True)
class Limit:
    """How many samples are read, the first ones.

    Attributes:
        samples: how many the user wants; None for all.
        memory: bytes that they may take; None for any.
    """

    samples: int | None = None
    memory: int | None = None

    def count(self, given: int, size: int, source: str) -> tuple[int, tuple[str, ...]]:
        """How many samples of one size are read.

        Args:
            given: how many there are.
            size: bytes of a sample.
            source: the name of the data in messages.

        Returns:
            The number, and a note if memory allows no more.

        Raises:
            DataError: memory does not even allow two samples.
        """
        wanted = given if self.samples is None else min(given, self.samples)
        if self.memory is None or wanted * size <= self.memory:
            return wanted, ()
        count = self.memory // size
        if count < _LEAST:
            self.check(size, source)
            count = min(_LEAST, wanted)
        return count, (self.note(count, wanted, source),) if count < wanted else ()

    def check(self, size: int, source: str, count: int = _LEAST) -> None:
        """Check that memory allows samples of one size, the fewest that are read for example.

        Args:
            size: bytes of a sample.
            source: the name of the data in messages.
            count: how many samples.

        Raises:
            DataError: it does not.
        """
        if self.memory is not None and count * size > max(self.memory, _SMALL):
            raise DataError(
                f"{source}: {count} samples take {in_words(count * size)}, and memory allows "
                f"{in_words(self.memory)}: use fewer or smaller ones, or allow more (--memory)."
            )

    def note(self, count: int, wanted: int | None, source: str) -> str:
        """A note that memory allows no more samples.

        Args:
            count: how many are read.
            wanted: how many there are, or were asked for; None if that is not known.
            source: the name of the data in messages.
        """
        assert self.memory is not None
        of_all = "" if wanted is None else f" of {wanted}"
        return (
            f"{source}: the first {count}{of_all} samples are used, since more would take over "
            f"{in_words(self.memory)} of memory: --memory allows more."
        )

    def allows(self, count: int, size: int) -> bool:
        """Whether memory allows samples that come one by one.

        Args:
            count: how many there were before.
            size: bytes of all with the next one.
        """
        return self.memory is None or count < _LEAST or size <= self.memory


NO_LIMIT = Limit()


def bytes_as_fed(values: int, dtype: np.dtype, spec: TensorSpec) -> int:
    """Bytes that values take in the type of a model's input, or in their own if it is wider.

    Args:
        values: how many.
        dtype: their own type.
        spec: the input.
    """
    return values * max(dtype.itemsize, spec.dtype.itemsize)


def in_words(size: int) -> str:
    """A number of bytes for people.

    Example:
        >>> in_words(8 * 10**9)
        '8.0 GB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
