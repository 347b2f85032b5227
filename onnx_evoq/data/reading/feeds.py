"""Collect feeds from Python: an iterable of ``{input: array}``, or a reader with ``get_next()``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.batch import listed
from onnx_evoq.data.reading.arrays import LABELS, arrays_of_inputs
from onnx_evoq.data.reading.limit import Limit, bytes_as_fed
from onnx_evoq.data.reading.raw import Raw, first, grouped
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec
from onnx_evoq.user_function import messages_apart

Feed = Mapping[str, NDArray[Any]]
AreSamples = Callable[[Feed], bool]


def from_iterable(
    source: Iterable[Any] | Callable[[], Iterable[Any]],
    name: str,
    specs: Sequence[TensorSpec],
    limit: Limit,
    rows_are_samples: Callable[[Feed], bool],
) -> Raw:
    """Collect feeds into samples.

    A feed is a mapping with the inputs of one run of the model, for one or several samples; `y` may
    hold labels. The shapes of the feeds may differ. Each feed is one sample if the arrays of one
    differ in their first axis, or if the model mixes its rows.

    Args:
        source: an iterable of feeds, or ONNX Runtime's ``CalibrationDataReader``, whose
            ``get_next()`` returns feeds until None; or a function that returns one of these.
        name: the name of the data in messages.
        specs: the model's inputs.
        limit: how many samples to read.
        rows_are_samples: says whether the model gives each row of a feed the outputs that it has
            by itself.

    Raises:
        DataError: the source raises, or yields something else.
    """
    feeds = _Feeds(name, specs, limit, rows_are_samples)
    try:
        with messages_apart():
            for feed in _iterate(source() if callable(source) else source):
                if not feeds.take(feed):
                    break
    except DataError:
        raise
    except (Exception, SystemExit) as cause:  # the user's reader may raise anything
        raise DataError(f"{name}: failed: {type(cause).__name__}: {cause}") from cause
    return feeds.together()


def _iterate(source: Any) -> Iterator[Any]:
    if hasattr(source, "get_next"):
        while (feed := source.get_next()) is not None:
            yield feed
    else:
        yield from source


class _Feeds:
    """Takes feeds one by one, and joins them to samples.

    Args: as for `from_iterable`.
    """

    def __init__(
        self, name: str, specs: Sequence[TensorSpec], limit: Limit, rows_are_samples: AreSamples
    ) -> None:
        self._name, self._specs, self._limit = name, specs, limit
        self._rows_are_samples = rows_are_samples
        self._feeds: list[Feed] = []
        self._rows: list[int] = []
        self._labels: list[Array | None] = []
        self._whole: bool | None = None  # whether each feed is one sample; None if all are one row
        self._bytes = 0
        self._notes: tuple[str, ...] = ()

    @property
    def _count(self) -> int:
        """The number of samples so far."""
        return len(self._feeds) if self._whole else sum(self._rows)

    def take(self, feed: Any) -> bool:
        """Take a feed, unless memory is full.

        Returns:
            Whether more feeds are wanted.
        """
        if not isinstance(feed, Mapping):
            raise DataError(
                f"{self._name}: gives {type(feed).__name__} objects: give {{input name: array}}."
            )
        arrays = {key: np.asarray(value) for key, value in feed.items()}
        inputs = arrays_of_inputs(arrays, list(arrays), self._name, self._specs)
        labels = None if LABELS in inputs else arrays.get(LABELS)
        size = sum(bytes_as_fed(inputs[s.name].size, inputs[s.name].dtype, s) for s in self._specs)
        if not self._limit.allows(self._count, self._bytes + size):
            self._notes = (self._limit.note(self._count, self._limit.samples, self._name),)
            return False
        self._add(inputs, None if labels is None else np.atleast_1d(labels))
        self._bytes += size
        return self._limit.samples is None or self._count < self._limit.samples

    def _add(self, inputs: Feed, labels: Array | None) -> None:
        if all(s.shape and inputs[s.name].ndim == len(s.shape) - 1 for s in self._specs):
            inputs = {name: array[None] for name, array in inputs.items()}  # no axis for samples
        rows = {array.shape[:1] for array in inputs.values()}
        count = 1
        if len(rows) > 1 or () in rows:
            self._whole = True
        else:
            count = next(iter(rows))[0]
            if count > 1 and self._whole is None:
                self._whole = not self._rows_are_samples(inputs)
        self._feeds.append(inputs)
        self._rows.append(count)
        self._labels.append(labels)

    def together(self) -> Raw:
        """All samples."""
        feeds, rows = self._feeds, self._rows
        if self._whole:
            feeds = [{name: array[None] for name, array in feed.items()} for feed in feeds]
            rows = [1] * len(feeds)
        groups = grouped([feed for feed, count in zip(feeds, rows, strict=True) if count])
        labels = self._joined_labels(rows)
        if self._limit.samples is not None:
            groups = first(groups, self._limit.samples)
            labels = None if labels is None else labels[: self._limit.samples]
        return Raw(groups, labels, self._name, self._notes, own=True)

    def _joined_labels(self, rows: Sequence[int]) -> Array | None:
        """The labels of all samples: one for each row of a feed, or all that a sample has."""
        given = [labels for labels in self._labels if labels is not None]
        if not given:
            return None
        if len(given) < len(rows):
            raise DataError(f"{self._name}: some feeds lack {LABELS!r}: give labels in each feed.")
        several = any(n == 1 and len(labels) != 1 for n, labels in zip(rows, given, strict=True))
        samples: list[Array] = []
        for count, labels in zip(rows, given, strict=True):
            if count == 1 and several:
                samples.append(labels)
            elif len(labels) == count:
                samples.extend(np.asarray(label) for label in labels)
            else:
                raise DataError(
                    f"{self._name}: a feed of {count} samples has {len(labels)} labels: give one "
                    "for each."
                )
        return listed(samples)
