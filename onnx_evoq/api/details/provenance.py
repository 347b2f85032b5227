"""Where a result comes from: the versions of libraries, and hashes of the model and the samples."""

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_evoq.batch import Batch
from onnx_evoq.record import hash_of_arrays, versions


def provenance_of(digest: str, batches: Sequence[Batch]) -> dict[str, Any]:
    """The versions, and SHA-256 hashes of the model and of the samples, as plain values.

    Args:
        digest: the content hash of the float model.
        batches: the samples as the model takes them, whose names, types, shapes and values count.
    """
    feeds = (item for batch in batches for item in batch.feed.items())
    samples = hash_of_arrays(each for name, array in feeds for each in (np.array(name), array))
    return {
        "versions": {"python": platform.python_version(), **versions()},
        "sha256": {"model": digest, "samples": samples},
    }
