"""The samples that a model is scored on: the user's, or synthetic ones."""

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.data import Data, Samples, load_samples
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Model, input_specs
from onnx_evoq.progress import Progress, silent
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.score import keeps_rows_apart
from onnx_evoq.setup.sessions import (
    DEFAULT_RESOURCES,
    Resources,
    cache_memory,
    open_session,
    own_options,
)
from onnx_evoq.setup.synthetic.inputs import synthetic_samples

_MEMORY_PARTS = 4  # samples may take one part of the memory in so many


def find_samples(
    model: Model,
    name: str,
    data: Data,
    rng: np.random.Generator,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    deadline: Deadline = NO_DEADLINE,
) -> Samples:
    """Load the samples for a model, or draw synthetic ones where no data are given.

    Args:
        model: the model, as it was loaded.
        name: the model's name in messages.
        data: the source of the samples, and their preprocessing.
        rng: draws synthetic samples.
        resources: what may be used of the machine; samples take a share of the memory at most.
        progress: shows how many samples are loaded.
        deadline: by which the whole job must end.

    Raises:
        ModelError: the model takes no inputs.
        DataError: the data cannot be read or do not fit the inputs, or none are given, and the
            model runs with no synthetic inputs that were tried.
    """
    specs = input_specs(model)
    if not specs:
        raise ModelError("the model takes no inputs, so that there is nothing to score it on.")
    if data.source is None:
        return synthetic_samples(model, name, data, rng, resources, deadline)

    def apart(feed: Arrays) -> bool:
        return keeps_rows_apart(open_session(model, resources, name, own_options(model)), feed)

    memory = cache_memory(resources) // _MEMORY_PARTS
    return load_samples(data, specs, progress, memory, apart)
