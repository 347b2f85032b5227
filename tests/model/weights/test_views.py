"""What nodes between an initializer and its reader do, against NumPy and ONNX Runtime."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, run
from onnx import NodeProto, numpy_helper

from onnx_evoq.model.weights.views import axis_before, path_to_initializer, views_of
from onnx_evoq.quantize import View

CHAINS: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
    "transpose": ([node("Transpose", ["w"], ["v"], perm=[2, 0, 1])], {}),
    "transpose of all": ([node("Transpose", ["w"], ["v"])], {}),
    "identity and cast": (
        [node("Identity", ["w"], ["u"]), node("Cast", ["u"], ["v"], to=10)], {}
    ),
    "reshape": ([node("Reshape", ["w", "s"], ["v"])], {"s": np.array([0, -1])}),
    "reshape to a shape": ([node("Reshape", ["w", "s"], ["v"])], {"s": np.array([6, 2, 2])}),
    "flatten": ([node("Flatten", ["w"], ["v"], axis=2)], {}),
    "flatten from the end": ([node("Flatten", ["w"], ["v"], axis=-1)], {}),
    "unsqueeze": ([node("Unsqueeze", ["w", "s"], ["v"])], {"s": np.array([0, -1])}),
    "squeeze": (
        [node("Unsqueeze", ["w", "s"], ["u"]), node("Squeeze", ["u", "s"], ["v"])],
        {"s": np.array([1])},
    ),
    "squeeze all": (
        [node("Unsqueeze", ["w", "s"], ["u"]), node("Squeeze", ["u"], ["v"])],
        {"s": np.array([1])},
    ),
    "several": (
        [
            node("Transpose", ["w"], ["u"], perm=[1, 0, 2]),
            node("Reshape", ["u", "s"], ["t"]),
            node("Transpose", ["t"], ["v"]),
        ],
        {"s": np.array([3, -1])},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHAINS)
def test_views_are_what_the_nodes_compute(case: str) -> None:
    nodes, constants = CHAINS[case]
    weight = random(2, 3, 4)
    back = node("Cast", ["v"], ["y"], to=1)
    model = model_of([*nodes, back], {}, {"y": None}, {"w": weight, **constants})
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = path_to_initializer("v", {n.output[0]: n for n in nodes}, tensors)
    assert found is not None
    name, path = found
    assert (name, path) == ("w", nodes)
    values = weight
    views = views_of(path, weight.shape, tensors)
    assert views is not None
    for view in views:
        values = view.of(values)
    expected = run(model, {})["y"]
    assert values.shape == expected.shape
    np.testing.assert_allclose(values, expected, atol=2e-3)  # of float16


def test_a_shape_that_is_computed_is_no_view() -> None:
    nodes = [node("Reshape", ["w", "s"], ["v"])]
    assert views_of(nodes, [2, 3], {}) is None
    assert views_of([node("Unsqueeze", ["w", "s"], ["v"])], [2, 3], {}) is None


def test_only_views_lead_to_an_initializer() -> None:
    tensors = {"w": numpy_helper.from_array(random(2), "w")}
    assert path_to_initializer("w", {}, tensors) == ("w", [])
    assert path_to_initializer("x", {}, tensors) is None
    assert path_to_initializer("v", {"v": node("Neg", ["w"], ["v"])}, tensors) is None


@pytest.mark.parametrize(
    ("views", "axis", "expected"),
    [
        ([], 1, 1),
        ([View((2, 0, 1), (4, 2, 3))], 0, 2),
        ([View((0, 1, 2), (2, 3, 4, 1))], 2, 2),
        ([View((0, 1, 2), (2, 12))], 0, 0),
        ([View((0, 1, 2), (2, 12))], 1, None),
        ([View((0, 1, 2), (6, 4)), View((1, 0), (4, 6))], 0, 2),
        ([View((0, 1, 2), (6, 4)), View((1, 0), (4, 6))], 1, None),
    ],
)
def test_the_axis_of_a_view_may_be_one_of_the_tensor(
    views: list[View], axis: int, expected: int | None
) -> None:
    assert axis_before(views, [2, 3, 4], axis) == expected
