"""Give an emitted model the outputs of the user's model, if it is scored at other tensors."""

from onnx_evoq.batch import Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Model
from onnx_evoq.setup import DEFAULT_RESOURCES, OwnOutputs, Resources, open_session, own_options


def with_own_outputs(
    model: Model, own: OwnOutputs | None, batch: Batch, resources: Resources = DEFAULT_RESOURCES
) -> list[str]:
    """Give an emitted model its own outputs again, in place, and run it.

    Args:
        model: the model, whose outputs are the tensors at which it is scored.
        own: its own outputs; None if it is scored at these.
        batch: the samples of the run.
        resources: what may be used of the machine.

    Returns:
        A sentence that a user should read if it fails, or cannot be run.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """
    if own is None:
        return []
    own.restored(model)
    if not own.runs:
        return [
            "ONNX Runtime lacks operators behind the tensors that are scored, so that this part of "
            "the model was not run."
        ]
    session = open_session(
        model, resources, "the emitted model", own_options(model), unlike=own.names
    )
    try:
        session.run(batch.feed)
    except ModelError as cause:
        return [f"behind the tensors that are scored, the emitted model fails: {cause}"]
    return []
