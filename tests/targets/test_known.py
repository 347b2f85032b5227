"""The table of targets in the documentation is that of the code."""

from pathlib import Path

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.targets import TARGETS, Target, find_target

PAGE = Path(__file__).parents[2] / "docs" / "targets.md"


def steps(taken: tuple[str, ...]) -> str:
    return "any" if len(taken) == 2 else taken[0]


def row(target: Target) -> str:
    widths = target.activations
    in_a_row = len(widths) > 2
    cells = [
        target.name,
        target.code_type,
        f"{widths[0]} to {widths[-1]}" if in_a_row else ", ".join(map(str, widths)),
        steps(target.activation_scales),
        steps(target.scales),
        ", ".join(target.granularities),
        ", ".join(target.storages),
        target.biases,
        str(target.opset),
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", TARGETS)
def test_the_documentation_has_the_row_of_each_target(name: str) -> None:
    assert row(TARGETS[name]) in PAGE.read_text(encoding="utf-8").splitlines()


def test_an_unknown_target_is_named_with_its_remedy() -> None:
    with pytest.raises(OptionError, match="target 'tflite' is unknown: choose onnxruntime or"):
        find_target("tflite")


def test_the_narrowest_storage_comes_first() -> None:
    for target in TARGETS.values():
        assert list(target.storages) == sorted(target.storages)
