"""The runtimes that are known by name.

Each line says what the runtime's documentation states, or what was seen with it; docs/targets.md
names the sources.
"""

from typing import Literal, get_args

from onnx_evoq.errors import OptionError
from onnx_evoq.targets.target import Target

TargetName = Literal[
    "onnxruntime", "onnxruntime-arm", "openvino", "tensorrt", "qnn", "vitis", "tidl", "esp-dl",
    "portable", "qonnx",
]  # fmt: skip

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
        storages=("int8",), opset=13, needs_activations=True,
        note="the converter of ESP-DL quantizes a float file by itself: give it these weights with "
        "--format float, and the steps of activations that --json prints.",
    ),
    Target(
        "portable", "onnx.reference, tract, IREE and TVM",
        activations=_UP_TO_8, storages=("int8",), opset=19,
    ),
    Target(
        "qonnx", "QONNX (hls4ml)",
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
