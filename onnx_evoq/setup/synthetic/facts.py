"""What is known of a model's inputs before it is run."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnx_evoq.errors import DataError, ModelError
from onnx_evoq.model import (
    InputScaling,
    InputUses,
    Model,
    axis_names,
    input_scalings,
    input_specs,
    input_uses,
)
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a model's inputs.

    Attributes:
        model: the model.
        specs: its inputs.
        names: of the axes of each input.
        uses: what the model does with each input.
        scalings: how its first nodes scale each input.
    """

    model: Model
    specs: list[TensorSpec]
    names: Mapping[str, tuple[str | None, ...]]
    uses: Mapping[str, InputUses]
    scalings: Mapping[str, InputScaling]


def facts_of(model: Model) -> Facts:
    """What is known of a model's inputs.

    Args:
        model: the model, as it was loaded.

    Raises:
        DataError: an input states no shape.
        ModelError: an input is neither a number nor a flag.
    """
    specs = input_specs(model)
    for spec in specs:
        if spec.shape is None:
            raise DataError(f"input {spec.name!r} states no shape to draw inputs for: give data.")
        if spec.dtype.kind not in "biuf":
            raise ModelError(
                f"input {spec.name!r} takes {spec.kind}, which cannot be drawn: give data (--data)."
            )
    return Facts(model, specs, axis_names(model), input_uses(model), input_scalings(model))
