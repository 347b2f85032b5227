"""The first layer that reads an input."""

import pytest
from graphs import model_of, node, random
from onnx import NodeProto

from onnx_evoq.model import first_layer

CONV = node("Conv", ["a", "k"], ["c"])


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ([node("Conv", ["x", "k"], ["c"])], ("c", 1)),
        ([node("Transpose", ["x"], ["a"], perm=[0, 1, 3, 2]), CONV], ("c", 1)),
        ([node("Flatten", ["x"], ["a"]), node("MatMul", ["a", "m"], ["c"])], ("c", -1)),
        ([node("Concat", ["x", "x"], ["a"], axis=1), CONV], ("c", 1)),
        ([node("Shape", ["x"], ["s"]), node("Conv", ["x", "k"], ["c"])], ("c", 1)),
        ([node("Relu", ["x"], ["a"]), CONV], None),
        ([node("MatMul", ["x", "x"], ["c"])], None),
        ([node("Own", ["x"], ["a"], domain="own"), CONV], None),
        ([node("Flatten", ["x"], ["c"])], None),
    ],
)
def test_moves_lead_to_the_first_product_with_constants(
    nodes: list[NodeProto], found: tuple[str, int] | None
) -> None:
    weights = {"k": random(2, 3, 1, 1), "m": random(48, 2)}
    model = model_of(
        [*nodes, node("Relu", ["c"], ["y"])], {"x": [1, 3, 4, 4]}, {"y": None}, weights
    )
    assert first_layer(model, "x") == found
