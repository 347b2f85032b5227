"""Reads samples as they are: .npz and .npy files, folders, feeds from Python."""

from onnx_evoq.data.reading.arrays import from_mapping, read_arrays
from onnx_evoq.data.reading.feed_folder import array_files, read_feeds
from onnx_evoq.data.reading.feeds import Feed, from_iterable
from onnx_evoq.data.reading.images import has_images, read_folder
from onnx_evoq.data.reading.limit import NO_LIMIT, Limit
from onnx_evoq.data.reading.raw import Raw, joined

__all__ = [
    "NO_LIMIT",
    "Feed",
    "Limit",
    "Raw",
    "array_files",
    "from_iterable",
    "from_mapping",
    "has_images",
    "joined",
    "read_arrays",
    "read_feeds",
    "read_folder",
]
