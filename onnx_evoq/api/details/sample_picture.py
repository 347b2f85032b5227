"""A small picture of a sample, or its first values, for a report.

A picture is a PNG file (ISO/IEC 15948) in a data URL: its rows are compressed by zlib.
"""

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch

_LEAST_SIDE, _MOST_SIDE = 8, 64  # pixels
_COLORS = (1, 3)  # channels
_VALUES, _INPUTS = 8, 3  # that are shown of a sample


def shown_sample(batch: Batch, row: int) -> dict[str, Any]:
    """A sample as plain values: {"picture": URL}, or {"values": {input: text}}.

    Args:
        batch: the batch that holds it.
        row: where it is in the batch.
    """
    inputs = _inputs_of(batch, row)
    if len(inputs) == 1:
        pixels = image_of(next(iter(inputs.values())))
        if pixels is not None:
            return {"picture": data_url(pixels)}
    return {"values": {name: _text(array) for name, array in list(inputs.items())[:_INPUTS]}}


def _inputs_of(batch: Batch, row: int) -> Arrays:
    """The inputs of one sample, without the axis of samples."""
    return {
        name: array[row] if array.ndim and len(array) == batch.size else array
        for name, array in batch.feed.items()
    }


def _text(array: Array) -> str:
    values = [str(each) if array.dtype.kind in "OUSb" else f"{each:.4g}" for each in array.flat]
    more = f", ... ({array.size} values)" if array.size > _VALUES else ""
    return ", ".join(values[:_VALUES]) + more


def image_of(sample: Array) -> NDArray[np.uint8] | None:
    """A sample as an image (height, width, 1 or 3); None if it is none.

    Its values are stretched from its least to its largest one, and large images are made smaller.

    Args:
        sample: of any shape.
    """
    if sample.ndim != 3 or sample.dtype.kind not in "fiu" or not np.isfinite(sample).all():
        return None
    if sample.shape[0] in _COLORS:
        sample = np.moveaxis(sample, 0, -1)
    if sample.shape[-1] not in _COLORS or min(sample.shape[:2]) < _LEAST_SIDE:
        return None
    step = -(-max(sample.shape[:2]) // _MOST_SIDE)
    small = sample[::step, ::step].astype(np.float64)
    low, high = small.min(), small.max()
    return np.asarray(np.rint(255 * (small - low) / max(high - low, 1e-12)), np.uint8)


def data_url(pixels: NDArray[np.uint8]) -> str:
    """A PNG file as the address of a picture.

    Args:
        pixels: (height, width, 1 or 3).
    """
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    file = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
