"""The element types of tensors."""

import pytest
from graphs import KINDS, body, model_of, node, random

from onnx_evoq.model import load
from onnx_evoq.model.inside.kinds import Kinds


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    nodes = [
        node("Cast", ["x"], ["half"], to=KINDS["float16"]),
        node("Where", ["flag", "half", "h"], ["chosen"]),
        node("Shape", ["x"], ["size"]),
    ]
    branch = body("branch", [node("MatMul", ["half", "h"], ["inner"])], "inner")
    other = body("other", [node("Neg", ["half"], ["negative"])], "negative")
    choice = node("If", ["flag"], ["y"], then_branch=branch, else_branch=other)
    for each in (branch, other):
        each.output[0].type.tensor_type.elem_type = KINDS["float16"]
    weights = {"h": random(4, 4, dtype="float16"), "w": random(4)}
    inputs, dtypes = {"x": ["n", 4], "flag": []}, {"flag": "bool", "y": "float16"}
    return Kinds(
        load(model_of([*nodes, choice], inputs, {"y": None}, weights, dtypes=dtypes)).graph
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", "float32"),
        ("w", "float32"),
        ("half", "float16"),
        ("chosen", "float16"),
        ("inner", "float16"),
        ("negative", "float16"),
        ("unknown", "float32"),
    ],
)
def test_the_type_follows_from_what_a_tensor_is_made_from(
    kinds: Kinds, name: str, expected: str
) -> None:
    assert kinds.of(name) == KINDS[expected]
