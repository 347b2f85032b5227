"""The examples in the docstrings run and give what they state."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import onnx_evoq

MODULES = [
    info.name
    for info in pkgutil.walk_packages(onnx_evoq.__path__, "onnx_evoq.")
    if not info.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
