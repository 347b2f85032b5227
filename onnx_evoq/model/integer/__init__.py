"""Models whose activations are integers: what simulates them, and what they become."""

from onnx_evoq.model.integer.code_limits import limit_codes
from onnx_evoq.model.integer.float_nodes import float_nodes
from onnx_evoq.model.integer.float_outputs import leave_outputs_float
from onnx_evoq.model.integer.kept_limits import join_limits
from onnx_evoq.model.integer.means import unshare_means
from onnx_evoq.model.integer.operators import (
    operators,
    products_in_bodies,
    types_of_activations,
)
from onnx_evoq.model.integer.prepared import (
    CODES,
    in_order,
    makers_and_readers_of,
    prepared,
    tensor_names,
)
from onnx_evoq.model.integer.quantized_activations import (
    PRODUCTS,
    QuantizedActivation,
    at_the_ends,
    clip_limit_of,
    quantized_activations,
)
from onnx_evoq.model.integer.simulated import simulated
from onnx_evoq.model.integer.switches import with_switches

__all__ = [
    "CODES",
    "PRODUCTS",
    "QuantizedActivation",
    "at_the_ends",
    "clip_limit_of",
    "float_nodes",
    "in_order",
    "join_limits",
    "leave_outputs_float",
    "limit_codes",
    "makers_and_readers_of",
    "operators",
    "prepared",
    "products_in_bodies",
    "quantized_activations",
    "simulated",
    "tensor_names",
    "types_of_activations",
    "unshare_means",
    "with_switches",
]
