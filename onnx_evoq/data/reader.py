"""Collect feeds from Python: an iterable of ``{input: array}``, or a reader with ``get_next()``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.data.arrays import LABELS, Raw, from_mapping
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

Feed = Mapping[str, NDArray[Any]]


def from_iterable(
    source: Iterable[Any] | Callable[[], Iterable[Any]],
    name: str,
    specs: Sequence[TensorSpec],
    samples: int | None,
) -> Raw:
    """Collect feeds into arrays (samples, ...).

    A feed is a mapping with the inputs of one run of the model, for one or several samples; `y` may
    hold labels. If the arrays of a feed differ in their first axis, each feed is one sample.

    Args:
        source: an iterable of feeds, or ONNX Runtime's ``CalibrationDataReader``, whose
            ``get_next()`` returns feeds until None; or a function that returns one of these.
        name: the name of the data in messages.
        specs: the model's inputs.
        samples: how many samples to read; None for all.

    Raises:
        DataError: the source raises, yields something else, or the shapes differ from feed to feed.
    """
    feeds: list[Feed] = []
    count = 0
    try:
        for feed in _iterate(source() if callable(source) else source):
            if not isinstance(feed, Mapping):
                raise DataError(
                    f"{name}: gives {type(feed).__name__} objects: give {{input name: array}}."
                )
            feeds.append({key: np.asarray(value) for key, value in feed.items()})
            count += _samples_in(feeds[-1], specs)
            if samples is not None and count >= samples:
                break
    except DataError:
        raise
    except Exception as cause:  # the user's reader may raise anything
        raise DataError(f"{name}: failed: {type(cause).__name__}: {cause}") from cause
    if not feeds:
        raise DataError(f"{name}: holds no samples: give a few hundred.")
    # A feed may hold other things, an id for example.
    used = {spec.name for spec in specs} | {"x", LABELS}
    keys = [key for key in feeds[0] if key in used] or list(feeds[0])
    joined = {key: _join(name, key, feeds, specs) for key in keys}
    return from_mapping(joined, name, specs, samples)


def _iterate(source: Any) -> Iterator[Any]:
    if hasattr(source, "get_next"):
        while (feed := source.get_next()) is not None:
            yield feed
    else:
        yield from source


def _samples_in(feed: Feed, specs: Sequence[TensorSpec]) -> int:
    """The common first axis of a feed's inputs; 1 if they differ: the feed is one sample then."""
    sizes = {feed[s.name].shape[0] if feed[s.name].ndim else 0 for s in specs if s.name in feed}
    return sizes.pop() if len(sizes) == 1 and 0 not in sizes else 1


def _join(name: str, key: str, feeds: Sequence[Feed], specs: Sequence[TensorSpec]) -> Array:
    """One array of all feeds, (samples, ...)."""
    if any(key not in feed for feed in feeds):
        raise DataError(f"{name}: some feeds lack {key!r}: give every input in each feed.")
    arrays = [feed[key] for feed in feeds]
    if key == LABELS and key not in {spec.name for spec in specs}:
        arrays = [np.atleast_1d(array) for array in arrays]
        batched = True
    else:
        first = feeds[0]
        batched = len({first[s.name].shape[:1] for s in specs if s.name in first}) == 1
    shapes = {array.shape[1:] if batched else array.shape for array in arrays}
    if len(shapes) > 1 or len({array.ndim for array in arrays}) > 1:
        shapes = shapes if len(shapes) > 1 else {array.shape for array in arrays}
        listed = " and ".join(str(shape) for shape in sorted(shapes)[:2])
        raise DataError(
            f"{name}: {key!r} has samples of shapes {listed}: pad or crop them to one shape."
        )
    return np.concatenate(arrays) if batched and arrays[0].ndim else np.stack(arrays)
