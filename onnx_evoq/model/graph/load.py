"""Read a model, check it, and bring it into the form that the other files of this room expect.

1. The file is read with its external data, which must lie in the model's folder.
2. It is checked: a graph, and an operator set that can be run.
3. Functions are inlined, initializers listed as inputs are taken off that list, and sparse ones
   become dense. Constants that may be weights become initializers of the main graph (see `lift`).
"""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, defs, external_data_helper, inliner

from onnx_evoq.errors import ModelError
from onnx_evoq.model.graph.lift import lift_constants
from onnx_evoq.model.graph.nodes import (
    QONNX_DOMAIN,
    all_nodes,
    copy_of,
    dense,
    node_label,
    opset_of,
    tensors_in,
    texts_in,
    walk,
)
from onnx_evoq.model.graph.validity import check_valid
from onnx_evoq.model.tensors import is_external

Model = ModelProto  # the name for rooms that do not import onnx

MIN_OPSET = 7  # the oldest that ONNX Runtime runs
_MIN_IR_VERSION = 4  # from here on, an initializer need not be an input

_QONNX_DOMAINS = (QONNX_DOMAIN, "onnx.brevitas")


def load(source: str | Path | ModelProto, *, quantized: bool = False) -> ModelProto:
    """A checked model in normal form; `source` itself stays as it is.

    Args:
        source: a file, or a model in memory.
        quantized: whether the model may be quantized altogether, to evaluate it for example.

    Raises:
        ModelError: the file is unreadable, or the model unsupported; QONNX is.
    """
    name = name_of(source)
    model = copy_of(source) if isinstance(source, ModelProto) else _read(Path(source))
    _check(model, name)
    _refuse_qonnx(model, name, quantized)
    if model.functions:
        model = inliner.inline_local_functions(model)
    model.ir_version = max(model.ir_version, _MIN_IR_VERSION)
    _drop_initializer_inputs(model)
    _make_dense(model)
    lift_constants(model.graph)
    return model


def name_of(source: str | Path | ModelProto) -> str:
    """The name of a model in messages and reports."""
    return "the model in memory" if isinstance(source, ModelProto) else str(source)


def serialize(model: ModelProto) -> bytes:
    """The bytes of a model file; the same model gives the same bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def size_in_bytes(source: str | Path | ModelProto) -> int:
    """The bytes of a model file and its external data, or of a model in memory as a file."""
    if isinstance(source, ModelProto):
        return int(source.ByteSize())
    path = Path(source)
    files = {file.resolve() for file in (path, *data_files(path))}
    return sum(file.stat().st_size for file in files)


def data_files(path: Path) -> list[Path]:
    """The files of external data that the model in `path` names, whether they exist or not.

    Raises:
        ModelError: `path` cannot be read, or it is not an ONNX file.
    """
    tensors = _external_tensors(_parsed(path))
    locations = dict.fromkeys(_external(tensor).get("location", "") for tensor in tensors)
    return [path.parent / location for location in locations]


def _read(path: Path) -> ModelProto:
    model = _parsed(path)
    _read_external_data(model, path)
    return model


def _parsed(path: Path) -> ModelProto:
    """The model in a file, without its external data."""
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise ModelError(f"{path}: cannot be read: {cause.strerror}.") from cause
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as cause:
        raise ModelError(
            f"{path}: not an ONNX file, or a truncated one: export or copy it again."
        ) from cause
    if not model.graph.node:
        raise ModelError(f"{path}: not an ONNX file, or one without a graph: export it again.")
    if any(isinstance(text, bytes) for text in texts_in(model)):  # not UTF-8
        raise ModelError(f"{path}: a name in it is no text: it is damaged; copy it again.")
    return model


def _external_tensors(model: ModelProto) -> list[TensorProto]:
    tensors = tensors_in(model.graph)
    return [tensor for tensor in tensors if is_external(tensor)]


def _external(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _read_external_data(model: ModelProto, path: Path) -> None:
    folder = path.parent.resolve()
    for tensor in _external_tensors(model):
        entry = _external(tensor)
        file = (folder / entry.get("location", "")).resolve()
        if not file.is_relative_to(folder):
            raise ModelError(
                f"{path}: tensor {tensor.name!r} names the data file {entry.get('location')!r} "
                "outside the model's folder: move the file beside the model and export again."
            )
        if not file.is_file():
            raise ModelError(
                f"{path}: the data file {entry.get('location')!r} of tensor {tensor.name!r} is "
                "missing: put it beside the model."
            )
        if not all(entry.get(key, "0").isdecimal() for key in ("offset", "length")):
            raise ModelError(
                f"{path}: tensor {tensor.name!r} names no place in {file.name!r} (offset and "
                "length must be whole numbers): export the model again."
            )
        end = int(entry.get("offset", "0")) + int(entry.get("length", "0"))
        if file.stat().st_size < end:
            raise ModelError(
                f"{path}: the data file {file.name!r} ends before tensor {tensor.name!r} does: "
                "it is truncated; copy it again."
            )
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except MemoryError:
            raise
        except Exception as cause:  # onnx raises several kinds, all of them about this file
            raise ModelError(
                f"{path}: tensor {tensor.name!r} cannot be read from {file.name!r}: {cause}"
            ) from cause
        tensor.ClearField("data_location")
        del tensor.external_data[:]


def _check(model: ModelProto, name: str) -> None:
    opset = opset_of(model)
    newest = defs.onnx_opset_version()
    if not MIN_OPSET <= opset <= newest:
        raise ModelError(
            f"{name}: operator set {opset} is not supported: "
            f"export the model with one from {MIN_OPSET} to {newest}, 17 for example."
        )
    if not model.graph.node:
        raise ModelError(f"{name}: the graph has no nodes: export the model again.")
    for node in all_nodes(model.graph):
        if any(entry.ref_attr_name for entry in node.attribute):
            raise ModelError(
                f"{name}: {node_label(node)} takes an attribute from a function, and is in none: "
                "export the model again."
            )
    try:
        check_valid(model)
    except onnx.checker.ValidationError as cause:
        first_line = (str(cause).strip().splitlines() or ["the checker of ONNX refuses it"])[0]
        raise ModelError(f"{name}: not a valid ONNX model: {first_line}") from cause
    except ValueError as cause:  # protobuf's limit of 2 GB per message
        raise ModelError(f"{name}: models above 2 GB are not supported.") from cause


def _refuse_qonnx(model: ModelProto, name: str, quantized: bool) -> None:
    for node in all_nodes(model.graph):
        if node.domain not in _QONNX_DOMAINS:
            continue
        if not quantized:
            raise ModelError(
                f"{name}: already quantized (it holds {node.op_type} nodes): "
                "give the float model that it was made from."
            )
        raise ModelError(
            f"{name}: ONNX Runtime cannot run QONNX (it holds {node.op_type} nodes): "
            "give a file of the qdq format."
        )


def _drop_initializer_inputs(model: ModelProto) -> None:
    initializers = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in initializers]:
        model.graph.input.remove(value)


def _make_dense(model: ModelProto) -> None:
    for graph in walk(model.graph):
        graph.initializer.extend(dense(sparse) for sparse in graph.sparse_initializer)
        del graph.sparse_initializer[:]
