"""The runtimes that are known by name.

Each line says what the runtime's documentation states, or what was seen with it; docs/targets.md
names the sources.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from onnx_evoq.errors import OptionError
from onnx_evoq.quantize import CodeType

TargetName = Literal[
    "onnxruntime", "onnxruntime-arm", "openvino", "tensorrt", "qnn", "vitis", "tidl", "esp-dl",
    "portable", "qonnx",
]  # fmt: skip

Biases = Literal["int32", "int8", "float"]


@dataclass(frozen=True)
class Target:
    """What a runtime takes, and what a model for it becomes.

    Attributes:
        name: as users give it.
        runtime: its own name.
        code_type: of the types that hold codes of activations.
        free_zero_points: whether signed codes of activations may have any zero point; else it is 0,
            or 128 or 32,768 in unsigned types.
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
        quantizes_floats: whether its own converter makes integers of a float file. Then the float
            format goes with quantized activations: weights lie on the grid in sight of these.
        needs_activations: whether it runs models with quantized activations only.
        note: what a user should know; empty for nothing.
    """

    name: str
    runtime: str
    code_type: CodeType = "unsigned"
    free_zero_points: bool = True
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
    quantizes_floats: bool = False
    needs_activations: bool = False
    note: str = ""


_UP_TO_8 = tuple(range(2, 9))

# With operator set 19, the reference of ONNX reads QuantizeLinear, too.
ONNXRUNTIME = Target("onnxruntime", "ONNX Runtime", opset=19)

_KNOWN = (
    ONNXRUNTIME,
    Target("onnxruntime-arm", "ONNX Runtime on ARM", "signed", opset=19),
    Target("openvino", "OpenVINO", activations=_UP_TO_8, storages=("int4", "int8"), opset=19),
    Target(
        "tensorrt", "TensorRT", "symmetric",
        activations=(8,), storages=("int8",), biases="float", opset=13, needs_activations=True,
    ),
    Target(
        "qnn", "ONNX Runtime with QNN",
        activations=(8, 16), storages=("int4", "int8"), opset=13, fixed_batch=True,
        needs_activations=True,
    ),
    Target(
        "vitis", "Vitis AI (XINT8)", "symmetric",
        activations=(8,), scales=("pow2",), activation_scales=("pow2",), granularities=("tensor",),
        storages=("int8",), biases="int8", opset=13, needs_activations=True,
    ),
    Target(
        "tidl", "TI TIDL", "symmetric",
        activations=(8, 16), activation_scales=("pow2",), transposed_per_tensor=True,
        storages=("int8",), opset=13, needs_activations=True,
        note="import the file into TIDL with prequantized_model.",
    ),
    Target(
        "esp-dl", "ESP-DL", "symmetric",
        activations=(8, 16), scales=("pow2",), activation_scales=("pow2",), narrow_range=True,
        storages=("int8",), opset=13, quantizes_floats=True, needs_activations=True,
        note="the converter of ESP-DL quantizes a float file by itself: give it that of --format "
        "float, and the steps of activations that --json prints.",
    ),
    Target(
        # IREE compares unsigned codes wrongly in a Clip, so they are signed.
        "portable", "onnx.reference, tract, IREE and TVM", "signed",
        activations=_UP_TO_8, storages=("int8",), opset=19,
    ),
    Target(
        "qonnx", "QONNX (hls4ml)", free_zero_points=False,
        storages=("int8",), fixed_batch=True, forms=("qonnx",),
    ),
)  # fmt: skip

TARGETS = {target.name: target for target in _KNOWN}

assert tuple(TARGETS) == get_args(TargetName)


def find_target(name: str) -> Target:
    """The target of that name.

    Raises:
        OptionError: there is none.

    Example:
        >>> find_target("vitis").scales
        ('pow2',)
    """
    if name not in TARGETS:
        raise OptionError(f"target {name!r} is unknown: choose {' or '.join(TARGETS)}.")
    return TARGETS[name]
