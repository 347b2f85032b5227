"""What one runtime takes."""

from dataclasses import dataclass
from typing import Literal

from onnx_evoq.quantize import CodeType

Biases = Literal["int32", "int8", "float"]


@dataclass(frozen=True)
class Target:
    """What a runtime takes, and what a model for it becomes.

    Attributes:
        name: as users give it.
        runtime: its own name.
        code_type: of the types that hold codes of activations.
        activations: the widths of activations that it takes; the others are refused.
        scales: the scales of weights that it takes, "pow2" or "float".
        activation_scales: likewise, of activations.
        granularities: "tensor" or "channel".
        transposed_per_tensor: whether a ConvTranspose has one step even where others have one per
            channel.
        narrow_range: whether weights leave the code -128 out.
        storages: the integer types of weights that it reads; the first one is the narrowest.
        biases: the type that holds biases where activations are integers.
        opset: the least operator set of the file, if the model can be converted to it.
        fixed_batch: whether the file is for one sample at a time.
        forms: the formats that it reads; the first one is used by itself.
        needs_activations: whether it runs models with quantized activations only.
        note: what a user should know; empty for nothing.
    """

    name: str
    runtime: str
    code_type: CodeType = "unsigned"
    activations: tuple[int, ...] = tuple(range(2, 17))
    scales: tuple[str, ...] = ("pow2", "float")
    activation_scales: tuple[str, ...] = ("pow2", "float")
    granularities: tuple[str, ...] = ("tensor", "channel")
    transposed_per_tensor: bool = False
    narrow_range: bool = False
    storages: tuple[str, ...] = ("int2", "int4", "int8")
    biases: Biases = "int32"
    opset: int = 10
    fixed_batch: bool = False
    forms: tuple[str, ...] = ("qdq", "float")
    needs_activations: bool = False
    note: str = ""
