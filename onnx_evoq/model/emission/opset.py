"""Bring a model to another operator set.

The converter of ONNX raises it, for integer types that need a newer one. Where ONNX Runtime has no
DequantizeLinear of a model's operator set yet, it must be lowered: by the converter, or, where that
knows no way, by its number alone, if no operator of the model uses what is new. Whether the outputs
stayed the same is for a run to show.
"""

from collections.abc import Collection, Sequence

import numpy as np
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    defs,
    helper,
    numpy_helper,
    version_converter,
)

from onnx_evoq.errors import ModelError
from onnx_evoq.model.files import check_valid
from onnx_evoq.model.graph import (
    Network,
    all_nodes,
    copy_of,
    drop_added_shapes,
    is_standard,
    opset_of,
    to_model,
)
from onnx_evoq.model.tensors import is_external


def at_opset(network: Network, opset: int) -> ModelProto:
    """A model of its own with that operator set or a newer one.

    Raises:
        ModelError: it cannot be converted.
    """
    return with_opset(network, opset, ())


def with_opset(network: Network, opset: int, weights: Collection[str]) -> ModelProto:
    """A model of that operator set or a newer one, without the initializers `weights`.

    Raises:
        ModelError: it cannot be converted.
    """
    model = to_model(network, weights)
    current = opset_of(model)
    if current >= opset:
        return model
    apart = [tensor for tensor in network.graph.initializer if tensor.name in weights]
    try:
        converted = _converted(model, opset, apart)
    except MemoryError:
        raise
    except Exception as cause:  # the converter raises several kinds for operators that it lacks
        raise ModelError(
            f"the model cannot be converted from operator set {current} to {opset}: "
            f"export it with {opset} or newer, or emit the float format."
        ) from cause
    least = helper.find_min_ir_version_for(converted.opset_import, True)
    converted.ir_version = max(converted.ir_version, least)
    drop_added_shapes(converted, model)
    return converted


def _converted(model: ModelProto, opset: int, apart: Sequence[TensorProto] = ()) -> ModelProto:
    """The model as the converter of ONNX makes it, which reads no data files.

    Args:
        model: the model; values in data files are taken out of it.
        opset: the operator set.
        apart: initializers that the model reads, and does not have.
    """
    outside = [tensor for tensor in model.graph.initializer if is_external(tensor)]
    for tensor in outside:
        model.graph.initializer.remove(tensor)
    stand_ins = [_as_input(tensor) for tensor in (*apart, *outside)]
    model.graph.input.extend(stand_ins)
    converted = version_converter.convert_version(model, opset)
    check_valid(converted)
    names = {value.name for value in stand_ins}
    for value in [value for value in converted.graph.input if value.name in names]:
        converted.graph.input.remove(value)
    converted.graph.initializer.extend(outside)
    return converted


def _as_input(tensor: TensorProto) -> ValueInfoProto:
    """An input that stands for an initializer."""
    return helper.make_tensor_value_info(tensor.name, tensor.data_type, tuple(tensor.dims))


def dequantizer(opset: int) -> ModelProto:
    """A model of one DequantizeLinear of that operator set, to see whether a runtime has it."""
    codes = numpy_helper.from_array(np.ones(1, np.int8), "codes")
    scale = numpy_helper.from_array(np.ones((), np.float32), "scale")
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["codes", "scale"], ["y"])],
        "dequantizer",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [codes, scale],
    )
    imports = [helper.make_opsetid("", opset)]
    least = helper.find_min_ir_version_for(imports, True)
    return helper.make_model(graph, opset_imports=imports, ir_version=least)


def lowered(model: ModelProto, opset: int) -> ModelProto | None:
    """A copy of a model with an older operator set; None if there is no way.

    Args:
        model: the model.
        opset: the operator set of the copy.
    """
    try:
        converted = _converted(copy_of(model), opset)
        drop_added_shapes(converted, model)
        return converted
    except MemoryError:
        raise
    except Exception:  # the converter raises several kinds for operators that it lacks
        return _renumbered(model, opset)


def _renumbered(model: ModelProto, opset: int) -> ModelProto | None:
    """The same nodes under an older operator set, if it has all that they use."""
    own = opset_of(model)
    nodes = [node for node in all_nodes(model.graph) if is_standard(node)]
    if not all(_fits(node, own, opset) for node in nodes):
        return None
    changed = copy_of(model)
    for entry in changed.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = opset
    try:
        check_valid(changed)
    except ValueError:
        return None
    return changed


def _fits(node: NodeProto, own: int, older: int) -> bool:
    """Whether a node means the same in an older operator set, up to the types that it takes."""
    try:
        new, old = (defs.get_schema(node.op_type, version, "") for version in (own, older))
    except defs.SchemaError:
        return False
    if new.since_version == old.since_version:
        return True
    defaults = {name: value.default_value for name, value in old.attributes.items()}
    given = {entry.name for entry in node.attribute}
    same = all(
        name in given or defaults.get(name) == value.default_value
        for name, value in new.attributes.items()
        if name in defaults
    )
    return same and given <= defaults.keys() and len(node.input) <= old.max_input
