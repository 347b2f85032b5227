"""Read a model, check it, and bring it into the form that the other files of this room expect.

1. The file is read with its external data, which must lie in the model's folder.
2. It is checked: a graph, and an operator set that can be run.
3. Functions are inlined, initializers listed as inputs are taken off that list, and sparse ones
   become dense. Constants that may be weights become initializers of the main graph (see `lift`).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    defs,
    inliner,
)

from onnx_evoq.errors import ModelError
from onnx_evoq.model.files.lift import lift_constants
from onnx_evoq.model.files.validity import check_valid
from onnx_evoq.model.graph import (
    QONNX_DOMAIN,
    all_nodes,
    bodies,
    copy_of,
    node_label,
    opset_of,
    tensors_in,
    tensors_of,
    texts_in,
    walk,
    without_values,
)
from onnx_evoq.model.tensors import (
    IN_MEMORY,
    bytes_of,
    dense,
    file_of,
    is_external,
    place_of,
    read,
    settle,
)

MIN_OPSET = 7  # the oldest that ONNX Runtime runs
_MOST_BYTES = 2**31 - 1  # of a file, and of a model without its external data
_WORD = b"location"  # stands in a file that names data files
_AT_A_TIME = 2**24  # bytes of a file that are searched for it
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
    if isinstance(source, ModelProto):
        model, path = copy_of(source), None
    else:
        model, path = _parsed(Path(source)), Path(source)
    _check(model, name, path)
    _refuse_qonnx(model, name, quantized)
    if model.functions:
        model = inliner.inline_local_functions(model)
        _check_nodes(model, name)  # in a function, not all of a node was checked
    model.ir_version = max(model.ir_version, _MIN_IR_VERSION)
    _drop_initializer_inputs(model)
    _make_dense(model)
    lift_constants(model.graph)
    _read_in_nodes(model.graph)
    return model


def as_written(source: str | Path | ModelProto) -> ModelProto:
    """The checked model as its file holds it, in no other form; values in data files stay there.

    Args:
        source: a file, or a model in memory, which is returned itself.

    Raises:
        ModelError: the file is unreadable, or no valid model.
    """
    if isinstance(source, ModelProto):
        return source
    model = _parsed(Path(source))
    _check(model, name_of(source), Path(source))
    return model


def name_of(source: str | Path | ModelProto) -> str:
    """The name of a model in messages and reports."""
    return IN_MEMORY if isinstance(source, ModelProto) else str(source)


def size_in_bytes(source: str | Path | ModelProto) -> int:
    """The bytes of a model file and its external data, or of a model in memory as a file."""
    if isinstance(source, ModelProto):
        beside = sum(bytes_of(t) for t in tensors_in(source.graph) if is_external(t))
        if fits_one_file(source):
            return beside + int(source.ByteSize())
        return beside + _held(source) + int(without_values(source).ByteSize())
    path = Path(source)
    files = {file.resolve() for file in (path, *data_files(path))}
    return sum(file.stat().st_size for file in files)


def fits_one_file(model: ModelProto) -> bool:
    """Whether a file could hold a model in memory, without its external data."""
    return _held(model) < _MOST_BYTES


def _held(model: ModelProto) -> int:
    """The bytes of the values that a model in memory holds itself."""
    return sum(bytes_of(each) for each in model.graph.initializer if not is_external(each))


def data_files(source: str | Path | ModelProto) -> list[Path]:
    """The data files that a model names, whether they exist or not.

    Args:
        source: the file of a model, or a loaded model, which names those that are still needed.

    Raises:
        ModelError: the file cannot be read, or it is not an ONNX file, or a name is no file's.
    """
    if isinstance(source, ModelProto):
        external = filter(is_external, source.graph.initializer)
        return list(dict.fromkeys(Path(place_of(tensor).path) for tensor in external))
    path = Path(source)
    if not _may_have_data_files(path):
        return []
    tensors = filter(is_external, _tensors_in(_parsed(path)))
    files = dict.fromkeys(file_of(tensor, str(path)) for tensor in tensors)
    return [path.parent / file for file in files]


def _may_have_data_files(path: Path) -> bool:
    """Whether a file holds the word that tensors in data files need, which is found at once."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as all_:
            for start in range(0, len(all_), _AT_A_TIME):
                if all_.find(_WORD, start, start + _AT_A_TIME + len(_WORD) - 1) >= 0:
                    return True
                if hasattr(mmap, "MADV_DONTNEED"):  # what was read need not stay in memory
                    all_.madvise(mmap.MADV_DONTNEED, start, min(_AT_A_TIME, len(all_) - start))
            return False
    except (OSError, ValueError):  # it is empty, no regular file, or cannot be read
        return True


def _parsed(path: Path) -> ModelProto:
    """The model in a file, without its external data."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(
                f"{path}: larger than the 2 GB that an ONNX file can have: export the model with "
                "external data."
            )
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


def _tensors_in(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that a model holds, in its graph or its functions."""
    yield from tensors_in(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _tensors_inside(node)


def _tensors_inside(node: NodeProto) -> Iterator[TensorProto]:
    """Every tensor that a node holds, itself or in its bodies."""
    yield from tensors_of(node)
    for body in bodies(node):
        yield from tensors_in(body)


def _check(model: ModelProto, name: str, path: Path | None) -> None:
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
    settle(_tensors_in(model), path)
    _check_nodes(model, name)


def _check_nodes(model: ModelProto, name: str) -> None:
    try:
        check_valid(model)
    except onnx.checker.ValidationError as cause:
        first_line = (str(cause).strip().splitlines() or ["the checker of ONNX refuses it"])[0]
        raise ModelError(f"{name}: not a valid ONNX model: {first_line}") from cause


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


def _read_in_nodes(graph: GraphProto) -> None:
    """Let the tensors of nodes and of their bodies hold their values."""
    for node in graph.node:
        for tensor in _tensors_inside(node):
            if is_external(tensor):
                read(tensor)
