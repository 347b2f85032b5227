"""Run a model over samples."""

from collections.abc import Iterator, Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch, fixed_batch_size, make_batches, per_sample
from onnx_evoq.errors import ModelError
from onnx_evoq.score.session import Session
from onnx_evoq.signature import TensorSpec

# Values of input per run: enough to keep the cores busy, few enough to stay near their caches.
_VALUES_PER_RUN = 200_000
_SMALLEST, _LARGEST = 8, 512


def predict(session: Session, batches: Sequence[Batch]) -> Iterator[dict[str, Array]]:
    """The outputs of each batch, each array (count, ...)."""
    for batch in batches:
        outputs = session.run(batch.feed)
        yield {name: per_sample(name, value, batch) for name, value in outputs.items()}


def choose_batch_size(session: Session, inputs: Arrays, specs: Sequence[TensorSpec]) -> int:
    """How many samples to feed at a time.

    What the model prescribes; else a size that is quick, provided that two samples fed together
    give what they give one by one. A model that declares a free batch dimension but mixes samples,
    or was exported with the size of a batch in its Reshapes, is fed one by one.
    """
    fixed = fixed_batch_size(inputs, specs)
    if fixed is not None:
        return fixed
    samples = len(inputs[specs[0].name]) if specs else 1
    if samples < 2 or not _batches_well(session, inputs, specs):
        return 1
    values = sum(int(np.prod(inputs[spec.name].shape[1:])) for spec in specs)
    size: int = 2 ** int(np.log2(max(1, _VALUES_PER_RUN // max(1, values))))
    return min(max(size, _SMALLEST), _LARGEST)


def _batches_well(session: Session, inputs: Arrays, specs: Sequence[TensorSpec]) -> bool:
    # The first sample, and the one that differs most likely from it.
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
