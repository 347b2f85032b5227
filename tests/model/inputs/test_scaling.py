"""How the first nodes of models scale their inputs."""

from collections.abc import Mapping

import numpy as np
import pytest
from graphs import model_of, node
from numpy.typing import NDArray
from onnx import NodeProto

from onnx_evoq.model import InputScaling, input_scalings

CONSTANTS = {
    "255": np.float32(255), "1/255": np.float32(1 / 255), "half": np.float32(0.5),
    "mean": np.float32([0.4, 0.5, 0.6]).reshape(3, 1, 1), "six": np.float32(6), "0": np.float32(0),
    "zero point": np.uint8(128), "step": np.float32(0.01), "weights": np.ones(8, np.float32),
}  # fmt: skip


def scaling(*steps: tuple[str, ...], **constants: NDArray[np.generic]) -> InputScaling:
    """The scaling by nodes in a row; a step is an operator and its inputs, "x" the row so far."""
    nodes, last = list[NodeProto](), "input"
    for number, (op, *inputs) in enumerate(steps):
        names = [last if name == "x" else name for name in inputs]
        last = f"t{number}"
        nodes.append(
            node(op, names, [last], **({"perm": [0, 3, 1, 2]} if op == "Transpose" else {}))
        )
    nodes.append(node("Softmax", [last], ["y"]))
    weights: Mapping[str, NDArray[np.generic]] = {**CONSTANTS, **constants}
    shape = ["n", 8, 8, 3] if any(step[0] == "Transpose" for step in steps) else ["n", 3, 8, 8]
    return input_scalings(model_of(nodes, {"input": shape}, {"y": None}, weights))["input"]


@pytest.mark.parametrize(
    ("steps", "factor", "offset"),
    [
        ([("Div", "x", "255")], 1 / 255, 0),
        ([("Cast", "x"), ("Transpose", "x"), ("Mul", "x", "1/255")], 1 / 255, 0),
        ([("Div", "x", "255"), ("Sub", "x", "mean"), ("Div", "x", "half")], 2 / 255, -1),
        ([("Sub", "half", "x")], -1, 0.5),
        ([("Add", "half", "x"), ("Mul", "x", "six")], 6, 3),
        ([("Add", "x", "weights")], 1, 0),
        ([("Div", "six", "x")], 1, 0),
        ([("Sqrt", "x"), ("Div", "x", "255")], 1, 0),
    ],
)
def test_sums_and_products_are_followed(
    steps: list[tuple[str, ...]], factor: float, offset: float
) -> None:
    found = scaling(*steps)
    assert (found.factor, found.offset) == pytest.approx((factor, offset))
    assert (found.limits, found.mean) == (None, ())


def test_a_clip_and_a_quantize_linear_have_limits() -> None:
    assert scaling(("Clip", "x", "0", "six")).limits == (0, 6)
    assert scaling(("Div", "x", "255"), ("Clip", "x", "0", "half")).limits == (0, 127.5)
    quantized = scaling(("QuantizeLinear", "x", "step", "zero point")).limits
    assert quantized == pytest.approx((-1.28, 1.27))
    assert scaling(("Clip", "x", "", "six")).limits is None


def norm(*steps: tuple[str, ...]) -> InputScaling:
    return scaling(
        *steps, ("BatchNormalization", "x", "s", "b", "m", "v"), s=np.ones(3, np.float32),
        b=np.zeros(3, np.float32), m=np.float32([1, 2, 3]), v=np.float32([4, 9, 16]),
    )  # fmt: skip


def test_a_batch_normalization_knows_mean_and_deviation() -> None:
    found = norm()
    assert (found.mean, found.deviation, found.channel_axis) == ((1, 2, 3), (2, 3, 4), 1)
    assert norm(("Transpose", "x")).channel_axis == 3
    scaled = norm(("Mul", "x", "half"))
    assert (scaled.mean, scaled.deviation) == ((2, 4, 6), (4, 6, 8))


def test_of_channels_that_have_moved_out_of_sight_all_are_alike() -> None:
    found = norm(("Reshape", "x", "shape"))
    assert found.mean == (2,)
    assert found.deviation[0] ** 2 == pytest.approx((4 + 9 + 16) / 3 + 2 / 3)


def test_an_input_with_two_readers_is_not_followed() -> None:
    nodes = [
        node("Shape", ["x"], ["size"]),
        node("Div", ["x", "255"], ["a"]),
        node("Sigmoid", ["x"], ["b"]),
        node("Mul", ["a", "b"], ["y"]),
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": None, "size": None}, CONSTANTS)
    assert input_scalings(model) == {"x": InputScaling()}
    model.graph.node.pop(2)
    assert input_scalings(model)["x"].factor == pytest.approx(1 / 255)
