"""The inputs that are drawn with mean 0 and deviation 1, and their ranges."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from onnx_evoq.data import InputPlan, Noise
from onnx_evoq.setup.axes import is_image
from onnx_evoq.signature import TensorSpec


def standardized_inputs(specs: Sequence[TensorSpec], plans: Sequence[InputPlan]) -> set[str]:
    """The images without a range, or the only input of other floats without one, by name.

    Args:
        specs: the model's inputs.
        plans: how they are drawn.
    """
    found = [
        spec
        for spec, plan in zip(specs, plans, strict=True)
        if spec.dtype.kind == "f" and isinstance(plan.values, Noise) and plan.values.is_standard
    ]
    images = [spec.name for spec in found if is_image(spec)]
    return set(images) or ({found[0].name} if len(found) == 1 else set())


def with_noise(plans: Sequence[InputPlan], names: Collection[str], noise: Noise) -> list[InputPlan]:
    """The plans with other noise in some inputs.

    Args:
        plans: of all inputs.
        names: of these inputs.
        noise: what they shall hold.
    """
    return [replace(plan, values=noise) if plan.name in names else plan for plan in plans]
