"""Run a model over batches of samples."""

from collections.abc import Iterator, Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch, fixed_batch_size, make_batches, per_sample
from onnx_evoq.errors import ModelError
from onnx_evoq.parallel import in_order
from onnx_evoq.score.session import Session
from onnx_evoq.signature import TensorSpec

# Input values per run: enough to keep the cores busy, few enough to stay in their caches.
_VALUES_PER_RUN = 200_000
_PRODUCTS_PER_RUN = 1e10
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 512  # samples


def predict(
    session: Session, batches: Sequence[Batch], workers: int = 1
) -> Iterator[dict[str, Array]]:
    """Run a model over batches, and yield the outputs of each, name -> (count, ...).

    ``list(predict(...))`` holds the outputs of all batches, and `onnx_evoq.batch.concatenated`
    joins them to (samples, ...).

    Args:
        session: the model.
        batches: the feeds, in order.
        workers: how many batches are run at a time, at most.

    Raises:
        ModelError: a run fails, or an output has no row per sample.
    """

    def outputs_of(batch: Batch) -> dict[str, Array]:
        outputs = session.run(batch.feed)
        return {
            name: per_sample(name, value, batch, unlike=name in session.unlike)
            for name, value in outputs.items()
        }

    return in_order(outputs_of, batches, workers)


def choose_batch_size(
    session: Session, inputs: Arrays, specs: Sequence[TensorSpec], weights: int = 0
) -> int:
    """Choose how many samples to feed at a time.

    A batch size that the model prescribes is kept. Else a fast size is chosen, provided that two
    samples in one batch have the outputs that they have in two. Some models declare a free batch
    dimension but mix samples, or hold a batch size in their Reshapes: these take one sample at a
    time.

    Args:
        session: the model.
        inputs: (samples, ...) for each of `specs`.
        specs: the model's inputs.
        weights: how many weights the model has. Large models take few samples at a time, so that
            a run is no longer than about a second.

    Raises:
        ModelError: the model cannot run on a single sample.
    """
    fixed = fixed_batch_size(inputs, specs)
    if fixed is not None:
        return fixed
    several = bool(specs) and len(inputs[specs[0].name]) > 1
    if not several or not _keeps_samples_apart(session, inputs, specs):
        return 1
    values = sum(int(np.prod(inputs[spec.name].shape[1:])) for spec in specs)
    size: int = 2 ** int(np.log2(max(1, _VALUES_PER_RUN // max(1, values))))
    # The products of a sample: about the weights times the positions at which each is used.
    products = max(1.0, weights * np.sqrt(values))
    most: int = 2 ** int(np.log2(max(1.0, _PRODUCTS_PER_RUN / products)))
    return min(max(size, _SMALLEST_BATCH), _LARGEST_BATCH, most)


def _keeps_samples_apart(session: Session, inputs: Arrays, specs: Sequence[TensorSpec]) -> bool:
    """Whether two samples in one batch have the outputs that they have in two batches."""
    # Not neighbours, which are often equal, so that a mixture of them would not show.
    pair = {name: array[[0, len(array) // 2]] for name, array in inputs.items()}
    try:
        (together,) = predict(session, make_batches(pair, specs, 2))
    except ModelError:
        return False
    one, two = predict(session, make_batches(pair, specs, 1))
    return all(
        together[name].shape == (2, *one[name].shape[1:])
        and _close(together[name][:1], one[name])
        and _close(together[name][1:], two[name])
        for name in together
    )


def _close(one: Array, other: Array) -> bool:
    if one.dtype.kind == "f":
        return np.allclose(one, other, rtol=1e-3, atol=1e-4)
    return bool((one == other).all())
