"""Run a model over batches of samples."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch, Group, fixed_batch_size
from onnx_evoq.errors import ModelError
from onnx_evoq.outputs_by_sample import per_sample
from onnx_evoq.parallel import in_order
from onnx_evoq.score.session import Session
from onnx_evoq.signature import TensorSpec

# Input values per run: enough to keep the cores busy, few enough to stay in their caches.
_VALUES_PER_RUN = 200_000
_PRODUCTS_PER_RUN = 1e10
_ABOUT, _TINY = 0.05, 1e-6  # by which outputs of a row may differ: a share of them, and a number
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 512  # samples


def predict(
    session: Session, batches: Sequence[Batch], workers: int = 1
) -> Iterator[dict[str, Array]]:
    """Run a model over batches, and yield the outputs of each, name -> (count, ...).

    ``list(predict(...))`` holds the outputs of all batches, and `concatenated` joins
    them to (samples, ...).

    Args:
        session: the model.
        batches: the feeds, in order.
        workers: how many batches are run at a time, at most; one of a session that runs alone.

    Raises:
        ModelError: a run fails, or an output has no row per sample.
    """

    def outputs_of(batch: Batch) -> dict[str, Array]:
        outputs = session.run(batch.feed)
        return {
            name: per_sample(name, value, batch, unlike=name in session.unlike)
            for name, value in outputs.items()
        }

    return in_order(outputs_of, batches, 1 if session.alone else workers)


def choose_batch_size(
    session: Session, groups: Sequence[Group], specs: Sequence[TensorSpec], weights: int = 0
) -> Callable[[Group], int]:
    """Choose how many samples of each group to feed at a time.

    A batch size that the model prescribes is kept. Else a fast size is chosen, provided that two
    samples in one batch have the outputs that they have in two. Some models declare a free batch
    dimension but mix samples, or hold a batch size in their Reshapes: these take one sample at a
    time.

    Args:
        session: the model.
        groups: the samples.
        specs: the model's inputs.
        weights: how many weights the model has. Large models take few samples at a time, so that
            a run is no longer than about a second.

    Returns:
        A function that gives the number for a group.

    Raises:
        ModelError: the model cannot run on a single sample.
    """
    largest = max(groups, key=lambda group: len(group.places))
    fixed = fixed_batch_size(largest.inputs, specs)
    if fixed is None and (
        len(largest.places) == 1 or not _keeps_samples_apart(session, largest.inputs)
    ):
        fixed = 1

    def size_of(group: Group) -> int:
        if fixed is not None:
            return fixed
        values = max(1, group.values)
        size: int = 2 ** int(np.log2(max(1, _VALUES_PER_RUN // values)))
        # The products of a sample: about the weights times the positions at which each is used.
        products = max(1.0, weights * np.sqrt(values))
        most: int = 2 ** int(np.log2(max(1.0, _PRODUCTS_PER_RUN / products)))
        return min(max(size, _SMALLEST_BATCH), _LARGEST_BATCH, most)

    return size_of


def _keeps_samples_apart(session: Session, inputs: Arrays) -> bool:
    """Whether two samples in one batch have the outputs that they have in two batches."""
    # Not neighbours, which are often equal, so that a mixture of them would not show.
    pair = {name: array[[0, len(array) // 2]] for name, array in inputs.items()}
    try:
        together = session.run(pair)
    except ModelError:
        return False
    return _are_apart(session, pair, together, _close)


def keeps_rows_apart(session: Session, feed: Arrays) -> bool:
    """Whether each row of a feed has about the outputs that it has by itself: it is a sample.

    Where the rows are steps of time or the nodes of a graph, the feed as a whole is one sample.
    Activations that are quantized with the range of a whole batch change outputs by little.

    Args:
        session: the model.
        feed: the inputs of a run, whose first axes have one size, 2 or more.
    """
    try:
        together = session.run(feed)
    except ModelError:  # it takes one row at a time
        return True
    for copies in (1, len(next(iter(feed.values())))):
        try:
            return _are_apart(session, feed, together, _about_equal, copies)
        except ModelError:  # it does not take a single row
            continue
    return False


def _are_apart(
    session: Session,
    feed: Arrays,
    together: Arrays,
    equal: Callable[[Array, Array], bool],
    copies: int = 1,
) -> bool:
    """Whether the first and the last row of a feed have the outputs that they have by themselves.

    Args:
        session: the model.
        feed: its inputs.
        together: its outputs.
        equal: compares the outputs of a row.
        copies: how many copies of one row the model takes.

    Raises:
        ModelError: the model cannot run on so many.
    """
    rows = len(next(iter(feed.values())))
    for row in (0, rows - 1):
        one = {name: np.repeat(array[row : row + 1], copies, 0) for name, array in feed.items()}
        (alone,) = predict(session, [Batch(one, copies, copies)])
        for name, values in together.items():
            try:
                of_row = per_sample(name, values, Batch(dict(feed), rows, rows))[row : row + 1]
            except ModelError:  # no multiple of the rows
                return False
            expected = alone[name][:1]
            if of_row.shape != expected.shape or not equal(of_row, expected):
                return False
    return True


def _about_equal(one: Array, other: Array) -> bool:
    if one.dtype.kind != "f":
        return bool((one == other).all())
    difference = np.linalg.norm(one.astype(np.float64) - other.astype(np.float64))
    return bool(difference <= _ABOUT * np.linalg.norm(other.astype(np.float64)) + _TINY)


def _close(one: Array, other: Array) -> bool:
    if one.dtype.kind == "f":
        return np.allclose(one, other, rtol=1e-3, atol=1e-4)
    return bool((one == other).all())
