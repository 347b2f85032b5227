"""The page of the public names has a section for each."""

import re
from inspect import isclass, isfunction
from pathlib import Path

import onnx_evoq

PAGE = Path(__file__).parent.parent / "docs" / "api.md"


# What signatures name of Python itself.
STANDARD = {
    "Any", "Exception", "False", "Iterable", "Iterator", "Literal", "Mapping", "None", "Path",
    "Sequence", "StrEnum", "True",
}  # fmt: skip


def test_functions_come_first_then_values_then_errors() -> None:
    kinds = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    shown = {
        kind.split()[0]: sorted(re.findall(r"^### `(\w+)`$", kind, re.MULTILINE)) for kind in kinds
    }
    names = {name: getattr(onnx_evoq, name) for name in sorted(onnx_evoq.__all__)}
    errors = [n for n, value in names.items() if isclass(value) and issubclass(value, Exception)]
    functions = [name for name, value in names.items() if isfunction(value)]
    values = [name for name in names if name not in errors and name not in functions]
    assert shown == {"Functions": functions, "Values": values, "Errors": errors, "Types": []}
    assert list(shown) == ["Functions", "Values", "Errors", "Types"]


def test_types_that_signatures_name_are_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    signatures = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    named = {name for text in signatures for name in re.findall(r"\b[A-Z][a-z]\w*", text)}
    explained = set(re.findall(r"^- `(\w+)`:", page, re.MULTILINE))
    assert named - STANDARD - set(onnx_evoq.__all__) == explained
