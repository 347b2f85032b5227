"""Load a model into ONNX Runtime, and run it over batches."""

from collections.abc import Iterator, Mapping, Sequence

from onnx_evoq.array_types import Array
from onnx_evoq.batch import Batch
from onnx_evoq.model import Model, serialize
from onnx_evoq.score import SESSION_OPTIONS, Session, predict
from onnx_evoq.setup.resources import DEFAULT_RESOURCES, Resources


def open_session(
    model: Model,
    resources: Resources = DEFAULT_RESOURCES,
    name: str = "the model",
    options: Mapping[str, str] = SESSION_OPTIONS,
    threads: int | None = None,
) -> Session:
    """Load a model into ONNX Runtime, on the execution providers that the user chose.

    Args:
        model: any model, or a part of one.
        resources: the execution providers.
        name: the model's name in messages.
        options: session configuration entries.
        threads: cores that one run uses; None for all.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
        OptionError: a provider is not available.
    """
    return Session(serialize(model), name, resources.providers, options, threads)


def run_model(
    model: Model,
    batches: Sequence[Batch],
    resources: Resources = DEFAULT_RESOURCES,
    name: str = "the model",
    options: Mapping[str, str] = SESSION_OPTIONS,
) -> Iterator[dict[str, Array]]:
    """Load a model into a new session, and run it over batches.

    Args:
        model: any model; `resources`, `name` and `options` are as for `open_session`.
        batches: the samples.

    Returns:
        The outputs of each batch by name, (count, ...) each; a batch is run when it is asked for.

    Raises:
        ModelError: the model cannot be loaded or run.
        OptionError: a provider is not available.
    """
    return predict(open_session(model, resources, name, options), batches)
