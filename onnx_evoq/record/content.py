"""What stands for a value in a run's file: a hash of what is large, and JSON for the rest."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from os import PathLike, fspath
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array


def described(value: Any) -> Any:
    """A value as JSON has it, so that equal texts mean equal values.

    Arrays are stood for by their hashes, and functions by their names.

    Example:
        >>> described({"bits": 4, "scale": ("pow2", None)})
        {'bits': 4, 'scale': ['pow2', None]}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, PathLike):
        return str(fspath(value))
    if isinstance(value, (np.ndarray, np.generic)):
        return hash_of_arrays([np.asarray(value)])
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: described(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): described(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((described(each) for each in value), key=json.dumps)
    kind = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def hash_of_arrays(arrays: Iterable[Array]) -> str:
    """The SHA-256 of the types, shapes and values of arrays, as hexadecimal digits.

    Example:
        >>> one, other = np.zeros(3, np.int8), np.zeros((1, 3), np.int8)
        >>> hash_of_arrays([one]) == hash_of_arrays([other])
        False
    """
    found = sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        if array.dtype.hasobject:  # strings
            found.update(json.dumps(array.tolist(), default=repr).encode())
        else:
            found.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return found.hexdigest()
