"""A switch quantizes one activation, and leaves all others as they are."""

from collections.abc import Mapping

import numpy as np
import pytest
from graphs import model_of, node, random, run
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from onnx_evoq.model import load, with_switches

X = random(8, 4)
GRID = (np.array(0.5, np.float32), np.array(128, np.uint8), 124, 131)  # codes -4 to 3


def chain() -> ModelProto:
    """x -> Neg -> a -> Tanh -> y, and a is an output, too."""
    nodes = [node("Neg", ["x"], ["a"]), node("Tanh", ["a"], ["y"])]
    return load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4], "a": ["n", 4]}, {}))


def outputs(*on: str) -> Mapping[str, NDArray[np.generic]]:
    model, switches = with_switches(chain(), {"x": GRID, "a": GRID})
    for tensor in model.graph.initializer:
        if tensor.name in {switches[name] for name in on}:
            tensor.CopyFrom(numpy_helper.from_array(np.array(True), tensor.name))
    return run(model, {"x": X})


def on_grid(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return 0.5 * np.clip(np.rint(x / 0.5), -4, 3)


def test_all_off_it_is_the_float_model() -> None:
    assert (outputs()["y"] == run(chain(), {"x": X})["y"]).all()


@pytest.mark.parametrize(
    ("name", "expected"), [("x", -on_grid(X)), ("a", on_grid(-X))], ids=["input", "inner"]
)
def test_one_on_it_alone_is_on_its_grid(name: str, expected: NDArray[np.floating]) -> None:
    found = outputs(name)
    np.testing.assert_allclose(found["a"], expected)
    np.testing.assert_allclose(found["y"], np.tanh(expected), rtol=1e-6)


def test_a_body_reads_a_switched_input() -> None:
    def body(name: str) -> GraphProto:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([node("Neg", ["x"], [name])], name, [], [out])

    branch = helper.make_node(
        "If", ["yes"], ["y"], then_branch=body("then_y"), else_branch=body("else_y")
    )
    model = load(model_of([branch], {"x": ["n", 4]}, {"y": ["n", 4]}, {"yes": np.array(True)}))
    changed, switches = with_switches(model, {"x": GRID})
    for tensor in changed.graph.initializer:
        if tensor.name == switches["x"]:
            tensor.CopyFrom(numpy_helper.from_array(np.array(True), tensor.name))
    np.testing.assert_allclose(run(changed, {"x": X})["y"], -on_grid(X))
