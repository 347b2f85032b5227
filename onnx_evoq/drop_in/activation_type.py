"""The types of ONNX Runtime's codes of activations, and the targets that take them."""

from collections.abc import Mapping
from typing import Protocol

from onnx_evoq.errors import OptionError
from onnx_evoq.targets import TARGETS, Target, find_target

ACTIVATION_BITS = {"QUInt8": 8, "QInt8": 8, "QUInt16": 16, "QInt16": 16}


class Named(Protocol):
    """A member of an enumeration of ONNX Runtime, such as `QuantType.QInt8`."""

    @property
    def name(self) -> str:
        """Its name."""


def name_of(kind: Named | str) -> str:
    """The name of a member of an enumeration, or the name itself."""
    return str(getattr(kind, "name", kind))


def check_type(argument: str, name: str, known: Mapping[str, int]) -> None:
    """Raise an OptionError unless a type is known.

    Args:
        argument: its name in the message.
        name: of the type.
        known: widths in bits by the names of the types that are known.
    """
    if name not in known:
        raise OptionError(f"{argument} {name} is not for models here: choose {' or '.join(known)}.")


def target_of(name: str | None, activation: str | None, symmetric: bool | None) -> Target:
    """The target that was named, or one that has the codes of activations that are asked for.

    Args:
        name: of the target; None for one that suits.
        activation: the type of codes of activations; None for any.
        symmetric: whether all zero points are 0; None for either.

    Raises:
        OptionError: the target is unknown, or its codes are others.

    Example:
        >>> target_of(None, "QInt8", symmetric=True).name
        'tensorrt'
    """
    if name is None:
        if symmetric and activation not in (None, "QInt8"):
            raise OptionError(
                f"ActivationSymmetric does not go with activation_type {activation}: "
                f"choose QInt8{_symmetric_targets(str(activation))}."
            )
        signed = activation is not None and activation.startswith("QInt")
        name = "tensorrt" if symmetric else "onnxruntime-arm" if signed else "onnxruntime"
    target = find_target(name)
    taken = _activation_types(target)
    if activation not in (None, *taken):
        raise OptionError(
            f"activation_type {activation} does not go with target {name}, which takes "
            f"{' or '.join(taken)}: leave one of them out."
        )
    if symmetric is not None and symmetric != (target.code_type == "symmetric"):
        raise OptionError(
            f"ActivationSymmetric {symmetric} does not go with target {name}, whose codes of "
            f"activations are {target.code_type}: leave one of them out."
        )
    return target


def _activation_types(target: Target) -> list[str]:
    """The types of codes of activations that a target takes."""
    prefix = "QUInt" if target.code_type == "unsigned" else "QInt"
    return [
        name
        for name, bits in ACTIVATION_BITS.items()
        if name.startswith(prefix) and bits in target.activations
    ]


def _symmetric_targets(activation: str) -> str:
    """The targets, as text, with symmetric codes of a type; empty if there are none."""
    names = [
        target.name
        for target in TARGETS.values()
        if target.code_type == "symmetric" and activation in _activation_types(target)
    ]
    return f", or target {' or '.join(names)}" if names else ""
