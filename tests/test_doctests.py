"""The examples in the docstrings run and give what they state."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import onnx_evoq

PACKAGE = Path(onnx_evoq.__file__).parent
FILES = [
    file.relative_to(PACKAGE.parent)
    for file in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_examples(file: Path) -> None:
    module = import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
    assert doctest.testmod(module).failed == 0
