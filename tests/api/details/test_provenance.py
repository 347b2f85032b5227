"""Versions and hashes."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from graphs import mlp

from onnx_evoq.api.details.provenance import provenance_of
from onnx_evoq.batch import Batch
from onnx_evoq.model import content_hash


def hash_of(array: np.ndarray, name: str = "x") -> str:
    return str(provenance_of("", [Batch({name: array}, 1, 1)])["sha256"]["samples"])


def test_versions_are_those_of_the_packages() -> None:
    found = provenance_of("", [])["versions"]
    assert set(found) == {"python", "onnx-evoq", "onnx", "onnxruntime", "numpy"}
    assert found["numpy"] == version("numpy")


def test_the_hash_of_a_file_is_that_of_other_tools(mlp_file: Path) -> None:
    expected = hashlib.sha256(mlp_file.read_bytes()).hexdigest()
    for path in (mlp_file, str(mlp_file)):
        assert provenance_of(content_hash(path), [])["sha256"]["model"] == expected


def test_the_hash_of_a_model_in_memory_repeats() -> None:
    one, other = (
        provenance_of(content_hash(mlp(opset=v)), [])["sha256"]["model"] for v in (17, 18)
    )
    assert one == provenance_of(content_hash(mlp(opset=17)), [])["sha256"]["model"] != other


def test_the_hash_of_samples_depends_on_all_of_them() -> None:
    usual = np.arange(6.0).reshape(1, 6)
    assert hash_of(usual) == hash_of(usual.copy())
    others = [usual + 1, usual.reshape(1, 2, 3), usual.astype(np.float32)]
    found = [hash_of(usual), hash_of(usual, "y"), *map(hash_of, others)]
    assert len(set(found)) == 5
    assert hash_of(np.asfortranarray(usual.reshape(2, 3))) == hash_of(usual.reshape(2, 3))


def test_texts_have_a_hash() -> None:
    one, other = (hash_of(np.array([text, "b"], object)) for text in ("a", "c"))
    assert one != other
