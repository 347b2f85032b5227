"""A hash of all that a model's files hold."""

from hashlib import sha256
from pathlib import Path

from onnx import ModelProto

from onnx_evoq.errors import ModelError
from onnx_evoq.model.files.graph_hash import graph_hash
from onnx_evoq.model.files.load import data_files, fits_one_file

_BLOCK = 2**20  # bytes


def content_hash(source: str | Path | ModelProto) -> str:
    """The SHA-256 of a model and of its data files, as hexadecimal digits.

    Args:
        source: the file of a model; or a model in memory, which has the hash of its file, or, if
            no one file could hold it, that of its graph.

    Raises:
        ModelError: a file cannot be read.

    Example:
        >>> content_hash(ModelProto())[:8]
        'e3b0c442'
    """
    if isinstance(source, ModelProto):
        if not fits_one_file(source):
            return graph_hash(source)
        return sha256(source.SerializeToString(deterministic=True)).hexdigest()
    found = sha256()
    for path in (Path(source), *data_files(source)):
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    found.update(block)
        except OSError as cause:
            raise ModelError(f"{path}: cannot be read ({cause.strerror}).") from cause
    return found.hexdigest()
