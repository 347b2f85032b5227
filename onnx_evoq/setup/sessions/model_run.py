"""Load a model into ONNX Runtime, and run it over batches."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    Model,
    Runnable,
    as_network,
    dequantizer,
    lowered,
    opset_of,
    to_run,
    types_of_activations,
)
from onnx_evoq.score import SESSION_OPTIONS, Session, predict
from onnx_evoq.setup.sessions.resources import DEFAULT_RESOURCES, Resources, on_cpu, workers_of

_FIRST_INTEGERS = 10  # the oldest operator set with integer weights
_SIGNED, _OPSET = {"session.qdqisint8allowed": "1"}, 23


def open_session(
    model: Runnable,
    resources: Resources = DEFAULT_RESOURCES,
    name: str = "the model",
    options: Mapping[str, str] = SESSION_OPTIONS,
    unlike: Collection[str] = (),
) -> Session:
    """Load a model into ONNX Runtime, on the execution providers that the user chose.

    On the CPU, one run uses one core; runs side by side use the others.

    Args:
        model: any model, a network, or a part of one.
        resources: the execution providers, and libraries of operators.
        name: the model's name in messages.
        options: session configuration entries.
        unlike: names of outputs that may be any value, with rows of their own in each run.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
        OptionError: a provider is not available.
    """
    threads = 1 if on_cpu(resources) else None
    with to_run(model) as (content, values, folder, alone):
        return Session(
            content, name, resources.providers, options, threads, values, resources.custom_ops,
            unlike, folder, alone,
        )  # fmt: skip


def with_integer_weights(model: Model, name: str) -> tuple[Model, list[str]]:
    """A model under an operator set whose DequantizeLinear ONNX Runtime has, and notes.

    Args:
        model: a model, as `load` returns it. It stays as it is where ONNX Runtime has all.
        name: its name in messages.

    Raises:
        ModelError: it uses what older operator sets lack.
    """
    own = opset_of(model)
    if own <= _FIRST_INTEGERS or _dequantizes(own):
        return model, []
    older = next(opset for opset in range(own - 1, 0, -1) if _dequantizes(opset))
    changed = lowered(model, older)
    if changed is None:
        raise ModelError(
            f"{name}: this ONNX Runtime has no integer weights in operator set {own}, and the "
            f"model uses what {older} lacks: export it with {older} or older, or choose the float "
            "format (--format float)."
        )
    return changed, [
        f"the model was brought from operator set {own} to {older}, the newest in which this ONNX "
        "Runtime has integer weights."
    ]


def _dequantizes(opset: int) -> bool:
    """Whether ONNX Runtime has the DequantizeLinear of an operator set."""
    try:
        open_session(dequantizer(opset))
    except ModelError:
        return False
    return True


def own_options(model: Runnable) -> Mapping[str, str]:
    """The session configuration entries with which a model is scored.

    A model whose activations are integers of 8 bits runs on the kernels for these. Of others the
    weights alone are: without those kernels, nothing else is rounded.
    """
    types = types_of_activations(model)
    if types.isdisjoint(("uint8", "int8")):
        return SESSION_OPTIONS
    # ONNX Runtime 1.32 turns signed codes into unsigned ones, and forgets it in this operator set.
    return _SIGNED if "int8" in types and opset_of(as_network(model).model) >= _OPSET else {}


def run_model(
    model: Runnable,
    batches: Sequence[Batch],
    resources: Resources = DEFAULT_RESOURCES,
    name: str = "the model",
    options: Mapping[str, str] = SESSION_OPTIONS,
    unlike: Collection[str] = (),
) -> Iterator[dict[str, Array]]:
    """Load a model into a new session, and run it over batches.

    Args:
        model: any model; `resources`, `name`, `options` and `unlike` are as for `open_session`.
        batches: the samples.

    Returns:
        The outputs of each batch by name, (count, ...) each, in the order of the batches.

    Raises:
        ModelError: the model cannot be loaded or run.
        OptionError: a provider is not available.
    """
    session = open_session(model, resources, name, options, unlike)
    return predict(session, batches, workers_of(resources))


def not_finite(outputs: Sequence[Arrays], model: str) -> list[str]:
    """A sentence for each output that holds NaN or infinity.

    Args:
        outputs: of each batch by name, (count, ...) each.
        model: the model's name in messages.
    """
    notes = []
    for name, values in outputs[0].items():
        if values.dtype.kind != "f":
            continue
        parts = [np.isfinite(each[name]).reshape(len(each[name]), -1) for each in outputs]
        finite = np.concatenate([part.all(axis=1) for part in parts])  # (samples,)
        if not finite.all():
            notes.append(
                f"{model}: output {name!r} is NaN or infinite for {int((~finite).sum())} of "
                f"{len(finite)} samples: check the preprocessing, or the model."
            )
    return notes
