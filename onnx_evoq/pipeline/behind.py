"""Reconstruct the weights behind the tensors at which a model is scored.

A second stage reads regions that the first one chose. In a quantized model these are other regions,
so that no output can be compared, and no score sees these weights. But their layers have a closed
form like others: the first stage stays float, so that the rows of columns and targets are the same.
"""

from dataclasses import replace

import numpy as np

from onnx_evoq.batch import Batch
from onnx_evoq.model import as_network, to_model, weights_named
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.setup import ScoringSet, Task

_PARTS = 4  # it may take one part in so many of the time


def reconstruct_behind(task: Task, rng: np.random.Generator) -> Task:
    """The task with codes of the weights that nothing scores, and with biases that go with them.

    Args:
        task: the task; its model is scored before some of its weights.
        rng: draws the positions that moments are gathered from.
    """
    if task.own is None or not task.behind:
        return task
    whole = task.own.restored(to_model(as_network(task.model)))
    search = heldout = _one_by_one(task.search_set)
    if task.heldout_set.batches[0] is not task.search_set.batches[0]:
        heldout = _one_by_one(task.heldout_set)
    subset = replace(
        task, model=whole, weights=weights_named(whole, task.behind), bits=dict(task.behind),
        search_set=search, heldout_set=heldout,
        deadline=task.deadline.share(_PARTS), own=None, behind={},
    )  # fmt: skip
    found = reconstruct_layers(subset.part("behind"), rng, details=False)
    codes = {name: found.quantized[name] for name in found.layers}
    return replace(task, model=task.own.replaced(to_model(found.model)), codes_behind=codes)


def _one_by_one(scoring: ScoringSet) -> ScoringSet:
    """The same samples, each in a run of its own: what is chosen of several is not told apart."""
    batches = []
    for batch in scoring.batches:
        for row in range(batch.count if batch.size > 1 else 0):
            feed = {name: array[row : row + 1] for name, array in batch.feed.items()}
            batches.append(Batch(feed, 1, 1))
    return replace(scoring, batches=batches or list(scoring.batches))
