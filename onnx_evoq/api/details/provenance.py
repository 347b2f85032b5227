"""Where a result comes from: the versions of libraries, and hashes of the model and the samples."""

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version
from typing import Any

import numpy as np

from onnx_evoq.api.job import ModelSource
from onnx_evoq.batch import Batch
from onnx_evoq.model import content_hash

_MODULES = ("onnx", "onnxruntime", "numpy")  # which results depend on


def versions() -> dict[str, str]:
    """The versions of Python, of this package, and of the libraries that results depend on."""
    of_modules = packages_distributions()  # ONNX Runtime has one package for each kind of GPU
    names = ["onnx-evoq", *(of_modules.get(name, [name])[0] for name in _MODULES)]
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def provenance_of(model: ModelSource, batches: Sequence[Batch]) -> dict[str, Any]:
    """The versions, and SHA-256 hashes of the model and of the samples, as plain values.

    Args:
        model: the float model; of a file, its data files count, too.
        batches: the samples as the model takes them.
    """
    return {
        "versions": versions(),
        "sha256": {"model": content_hash(model), "samples": _hash_of_samples(batches)},
    }


def _hash_of_samples(batches: Sequence[Batch]) -> str:
    """The hash of all inputs, with their names, types and shapes."""
    found = hashlib.sha256()
    for batch in batches:
        for name, array in batch.feed.items():
            found.update(f"{name} {array.dtype} {array.shape} ".encode())
            if array.dtype == object:  # texts
                found.update("\0".join(map(str, array.flat)).encode())
            else:
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
