"""Refuse options that contradict a target."""

from collections.abc import Sequence
from typing import Any

from onnx_evoq.errors import OptionError
from onnx_evoq.targets.known import Target


def check_target(
    target: Target,
    *,
    activations: int | None,
    scale: str,
    activation_scale: str,
    granularity: str,
    storage: str,
    form: str,
) -> None:
    """Raise an OptionError if an option asks for what a target does not take.

    Args:
        target: what the runtime takes.
        activations: width of the codes of activations; None if they stay floats.
        scale: of weights, "pow2" or "float".
        activation_scale: of activations.
        granularity: "tensor" or "channel".
        storage: the narrowest type of weights; "auto" for the narrowest that the target reads.
        form: of the file.

    Example:
        >>> from onnx_evoq.targets import find_target
        >>> check_target(
        ...     find_target("vitis"), activations=8, scale="pow2", activation_scale="pow2",
        ...     granularity="channel", storage="auto", form="qdq")
        Traceback (most recent call last):
            ...
        onnx_evoq.errors.OptionError: target vitis does not take granularity channel: choose tensor.
    """

    def check(option: str, value: Any, taken: Sequence[Any]) -> None:
        if value not in taken:
            raise OptionError(
                f"target {target.name} does not take {option} {value}: choose {_listed(taken)}."
            )

    check("format", form, target.forms)
    check("scale", scale, target.scales)
    check("granularity", granularity, target.granularities)
    check("storage", storage, ("auto", *target.storages))
    if activations is not None:
        check("activations", activations, target.activations)
        check("activation-scale", activation_scale, target.activation_scales)


def _listed(choices: Sequence[Any]) -> str:
    """The choices as text, whole numbers in a row as the first and the last."""
    named = [str(choice) for choice in choices if choice != "auto"]
    if len(choices) > 2 and all(isinstance(choice, int) for choice in choices):
        return f"{named[0]} to {named[-1]}"
    return " or ".join(named)
