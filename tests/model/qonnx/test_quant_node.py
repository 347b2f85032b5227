"""A Quant node puts a tensor on the grid that its range says."""

import numpy as np
import pytest
from graphs import model_of
from onnx import helper
from qonnx_runs import run_qonnx

from onnx_evoq.model.qonnx.quant_node import CodeRange, narrowest_range, quant_nodes


@pytest.mark.parametrize(
    ("codes", "low", "high"),
    [
        (CodeRange(6), -32, 31),
        (CodeRange(6, narrow=True), -31, 31),
        (CodeRange(6, signed=False), 0, 63),
        (CodeRange(2), -2, 1),
    ],
)
def test_a_range_has_the_codes_of_its_width(codes: CodeRange, low: int, high: int) -> None:
    assert (codes.low, codes.high) == (low, high)
    assert narrowest_range(low, high) == codes


@pytest.mark.parametrize(
    ("low", "high", "bits", "signed"),
    [
        (0, 0, 1, False), (0, 1, 1, False), (0, 15, 4, False), (0, 16, 5, False),
        (-1, 0, 2, True), (-1, 7, 4, True), (-9, 7, 5, True), (-8, 8, 5, True),
        (-128, 0, 8, True), (-129, 0, 9, True),
    ],
)  # fmt: skip
def test_the_narrowest_range_holds_all_codes(low: int, high: int, bits: int, signed: bool) -> None:
    found = narrowest_range(low, high)
    assert (found.bits, found.signed) == (bits, signed)
    assert found.low <= low
    assert found.high >= high


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (CodeRange(3), [-2.0, -2.0, -0.5, 0.0, 0.0, 1.0, 1.5]),
        (CodeRange(3, narrow=True), [-1.5, -1.5, -0.5, 0.0, 0.0, 1.0, 1.5]),
        (CodeRange(3, signed=False), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 3.5]),
    ],
)
def test_values_are_rounded_and_clipped(codes: CodeRange, expected: list[float]) -> None:
    # In steps of 0.5; the ties -0.25, 0.25 and 0.75 go to the even codes 0, 0 and 2.
    x = np.array([-9.0, -2.0, -0.5, -0.25, 0.25, 0.75, 9.0], np.float32)
    nodes = quant_nodes("x", "y", np.float32(0.5), codes, "q", {"x", "y"})
    (found,) = run_qonnx(model(nodes, [7]), {"x": x})
    assert (found + 0.0).tolist() == expected


def test_each_channel_may_have_a_step() -> None:
    scale = np.array([[1.0], [0.25]], np.float32)
    nodes = quant_nodes("x", "y", scale, CodeRange(2), "q", {"x", "y"})
    (found,) = run_qonnx(model(nodes, [2, 2]), {"x": np.full((2, 2), -0.6, np.float32)})
    assert found.tolist() == [[-1.0, -1.0], [-0.5, -0.5]]


def test_names_that_are_taken_are_left_alone() -> None:
    used = {"x", "y", "q", "q_scale"}
    nodes = quant_nodes("x", "y", np.float32(1), CodeRange(2), "q", used)
    assert nodes[0].output[0] == "q_scale_1"
    assert nodes[-1].name == "q_1"
    assert {"q_zeropt", "q_bitwidth", "q_1"} <= used


def model(nodes: list, shape: list) -> object:
    made = model_of(nodes, {"x": shape}, {"y": shape}, {})
    made.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    return made
