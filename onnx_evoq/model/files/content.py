"""A hash of all that a model's files hold."""

from hashlib import sha256
from pathlib import Path

from onnx import ModelProto

from onnx_evoq.errors import ModelError
from onnx_evoq.model.files.load import data_files

_BLOCK = 2**20  # bytes


def content_hash(source: str | Path | ModelProto) -> str:
    """The SHA-256 of a model and of its data files, as hexadecimal digits.

    Args:
        source: the file of a model, or a loaded model.

    Raises:
        ModelError: a file cannot be read.

    Example:
        >>> content_hash(ModelProto())[:8]
        'e3b0c442'
    """
    found = sha256()
    if isinstance(source, ModelProto):
        found.update(source.SerializeToString(deterministic=True))
    else:
        for path in (Path(source), *data_files(source)):
            try:
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        found.update(block)
            except OSError as cause:
                raise ModelError(f"{path}: cannot be read ({cause.strerror}).") from cause
    return found.hexdigest()
