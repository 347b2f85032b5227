"""The values that tensors in loops have in all iterations."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import KINDS, body, model_of, node, random, run
from onnx import ModelProto, helper

from onnx_evoq.model import load
from onnx_evoq.model.graph import part_of
from onnx_evoq.model.inside import output_inside, with_shown

EVEN = node("Neg", ["v"], ["e"])
ODD = node("Abs", ["v"], ["o"])
ALWAYS = node("Add", ["chosen", "one"], ["next"])


def alternating(
    times: int, opset: int = 17, dtype: str = "float32", shape: Sequence[int | str] = ("n", 3)
) -> ModelProto:
    """x (n, 3) -> a Loop: v = -v or |v|, in turn, + 1; what is scanned: v -> z, all."""
    even, odd = body("even", [EVEN], "e"), body("odd", [ODD], "o")
    for branch in (even, odd):
        branch.output[0].type.tensor_type.elem_type = KINDS[dtype]
    nodes = [
        node("Mod", ["i", "two"], ["rest"]),
        node("Cast", ["rest"], ["is_odd"], to=KINDS["bool"]),
        node("If", ["is_odd"], ["chosen"], then_branch=odd, else_branch=even),
        ALWAYS,
        node("Identity", ["next"], ["kept"]),
        node("Identity", ["on"], ["still"]),
    ]
    turn = body("turn", nodes, "still", "next", "kept")
    for name, kind, size in (("i", "int64", []), ("on", "bool", []), ("v", dtype, shape)):
        turn.input.append(helper.make_tensor_value_info(name, KINDS[kind], size))
    turn.output[0].type.tensor_type.elem_type = KINDS["bool"]
    for value in turn.output[1:]:
        value.type.tensor_type.elem_type = KINDS[dtype]
    loop = node("Loop", ["times", "", "x"], ["z", "all"], body=turn)
    weights = {"times": np.array(times), "two": np.array(2), "one": np.ones(1, dtype)}
    inputs, outputs = {"x": shape}, {"z": shape, "all": None}
    return load(model_of([loop], inputs, outputs, weights, opset=opset, dtype=dtype))


def shown(model: ModelProto, wanted: Sequence[str], x: np.ndarray) -> list[np.ndarray]:
    """The values of wanted tensors."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in wanted]
    part = part_of(model, with_shown(model, wanted), list(model.graph.input), outputs)
    found = run(part, {"x": x})
    return [found[name] for name in wanted]


def values_of(x: np.ndarray, times: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the two branches give in the iterations in which they run."""
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for turn in range(times):
        found[turn % 2].append(np.abs(x) if turn % 2 else -x)
        x = found[turn % 2][-1] + 1
    return found


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_a_branch_in_a_loop_shows_the_iterations_in_which_it_runs(opset: int) -> None:
    x = random(2, 3)
    even, odd = shown(alternating(5, opset), [output_inside(EVEN), output_inside(ODD)], x)
    expected = values_of(x, 5)
    np.testing.assert_allclose(even, np.concatenate(expected[0]), rtol=1e-6)
    np.testing.assert_allclose(odd, np.concatenate(expected[1]), rtol=1e-6)


def test_a_vector_has_one_entry_in_each_of_them() -> None:
    x = random(3)
    (even,) = shown(alternating(5, shape=[3]), [output_inside(EVEN)], x)
    np.testing.assert_allclose(even, np.stack(values_of(x, 5)[0]), rtol=1e-6)


def test_all_else_stays_as_it_was() -> None:
    model, x = alternating(5), random(2, 3)
    wanted = [output_inside(EVEN), output_inside(ALWAYS), output_inside(ODD), "z", "all"]
    _, added, _, z, scanned = shown(model, wanted, x)
    before = run(model, {"x": x})
    np.testing.assert_array_equal(z, before["z"])
    np.testing.assert_array_equal(scanned, before["all"])
    np.testing.assert_array_equal(added, before["all"].reshape(-1, 3))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("times", [0, 1])
def test_a_branch_that_never_runs_shows_nothing(times: int, dtype: str) -> None:
    model = alternating(times, dtype=dtype)
    (odd,) = shown(model, [output_inside(ODD)], random(2, 3, dtype=dtype))
    assert (odd.size, odd.dtype) == (0, dtype)
