"""Hidden tensors of bodies, shown as tensors of the main graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from graphs import KINDS, body, looped, model_of, node, random, run, two_rates
from onnx import GraphProto, ModelProto, NodeProto, helper

from onnx_evoq.model import load
from onnx_evoq.model.graph import part_of
from onnx_evoq.model.inside import input_inside, output_inside, with_shown
from onnx_evoq.model.inside.bodies import shows_bodies


def shown(
    model: ModelProto, wanted: Sequence[str], feed: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """The values of wanted tensors."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in wanted]
    part = part_of(model, with_shown(model, wanted), list(model.graph.input), outputs)
    found = run(part, feed)
    return [found[name] for name in wanted]


def inputs(graph: GraphProto, **values: tuple[str, list[Any] | None]) -> GraphProto:
    """A body with inputs, each of a type and a shape."""
    for name, (kind, shape) in values.items():
        graph.input.append(helper.make_tensor_value_info(name, KINDS[kind], shape))
    return graph


def scan(nodes: Sequence[NodeProto], *, opset: int = 17, **attributes: Any) -> ModelProto:
    """x (steps, n, 4) -> a Scan whose state s and output o come from `nodes` -> y."""
    step = inputs(body("step", nodes, "t", "o"), s=("float32", ["n", 4]), e=("float32", ["n", 4]))
    whole = node("Scan", ["s0", "x"], ["last", "y"], body=step, num_scan_inputs=1, **attributes)
    weights = {"w": random(4, 4), "s0": np.zeros((3, 4), np.float32), "yes": np.array(True)}
    return load(model_of([whole], {"x": ["k", 3, 4]}, {"y": None}, weights, opset=opset))


STEP = [
    node("Add", ["s", "e"], ["a"]),
    node("MatMul", ["a", "w"], ["t"]),
    node("Neg", ["t"], ["o"]),
]


def states_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What STEP multiplies with w, and its products, step by step."""
    state, read, made = np.zeros((3, 4), np.float32), [], []
    for each in x:
        read.append(state + each)
        state = read[-1] @ random(4, 4)
        made.append(state)
    return np.concatenate(read), np.concatenate(made)


def multiplying(model: ModelProto) -> NodeProto:
    """The product in the body of the first node."""
    return next(n for n in model.graph.node[0].attribute[0].g.node if n.op_type == "MatMul")


def test_a_branch_that_runs_shows_what_it_reads_and_makes() -> None:
    wide = node("MatMul", ["h", "w16"], ["a"])
    x = random(1, 16)
    read, made = shown(
        load(two_rates()),
        [input_inside(wide, 0), output_inside(wide)],
        {"x": x, "rate": np.array(16)},
    )
    np.testing.assert_array_equal(read, np.maximum(x, 0))
    np.testing.assert_allclose(made, np.maximum(x, 0) @ random(16, 8), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_branch_that_does_not_run_shows_nothing_of_the_right_type(dtype: str) -> None:
    one = body("one", [node("MatMul", ["x", "w"], ["a"])], "a")
    other = body("other", [node("Neg", ["x"], ["b"])], "b")
    for branch in (one, other):
        branch.output[0].type.tensor_type.elem_type = KINDS[dtype]
    choice = node("If", ["flag"], ["y"], then_branch=one, else_branch=other)
    weights = {"w": random(4, 4, dtype=dtype)}
    model = load(
        model_of(
            [choice],
            {"x": ["n", 4], "flag": []},
            {"y": ["n", 4]},
            weights,
            dtype=dtype,
            dtypes={"flag": "bool"},
        )
    )
    wanted = [output_inside(one.node[0])]
    (found,) = shown(model, wanted, {"x": random(2, 4, dtype=dtype), "flag": np.array(False)})
    assert (found.size, found.dtype) == (0, dtype)
    (found,) = shown(model, wanted, {"x": random(2, 4, dtype=dtype), "flag": np.array(True)})
    assert (found.shape, found.dtype) == ((2, 4), dtype)


@pytest.mark.parametrize("opset", [9, 13, 17])
def test_a_loop_shows_all_its_iterations_one_after_the_other(opset: int) -> None:
    model, x = load(looped(opset=opset)), random(2, 6, seed=3)
    product, added = model.graph.node[0].attribute[0].g.node[:2]
    read, made = shown(model, [input_inside(product, 0), output_inside(added)], {"x": x})
    values, sums = [x], []
    for _ in range(3):
        sums.append(values[-1] @ random(6, 6) + random(6))
        values.append(np.tanh(sums[-1]))
    np.testing.assert_allclose(read, np.concatenate(values[:3]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made, np.concatenate(sums), rtol=1e-4, atol=1e-5)


def test_a_loop_without_iterations_shows_nothing() -> None:
    model = looped()
    model.graph.initializer[-1].CopyFrom(helper.make_tensor("three", KINDS["int64"], [], [0]))
    model = load(model)
    wanted = [output_inside(model.graph.node[0].attribute[0].g.node[1])]
    (made,) = shown(model, wanted, {"x": random(2, 6)})
    assert made.size == 0


def test_what_a_loop_captures_is_shown_once_for_each_iteration() -> None:
    model, x = looped(), random(2, 6)
    product = model.graph.node[0].attribute[0].g.node[0]
    product.input[0] = "x"
    (read,) = shown(load(model), [input_inside(product, 0)], {"x": x})
    np.testing.assert_array_equal(read, np.concatenate([x, x, x]))


@pytest.mark.parametrize(
    "attributes", [{}, {"scan_output_axes": [1], "scan_output_directions": [1]}]
)
def test_a_scan_shows_all_its_steps(attributes: Mapping[str, Any]) -> None:
    model, x = scan(STEP, **attributes), random(5, 3, 4)
    product = multiplying(model)
    read, made, y = shown(model, [input_inside(product, 0), output_inside(product), "y"], {"x": x})
    expected = states_of(x)
    np.testing.assert_allclose(read, expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made, expected[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(y, run(model, {"x": x})["y"])


def test_a_vector_has_one_entry_in_each_step() -> None:
    step = inputs(body("step", [node("MatMul", ["e", "w"], ["o"])], "o"), e=("float32", [4]))
    nodes = [node("Scan", ["x"], ["y"], body=step, num_scan_inputs=1)]
    model = load(model_of(nodes, {"x": ["k", 4]}, {"y": None}, {"w": random(4, 3)}))
    product, x = multiplying(model), random(5, 4)
    read, made = shown(model, [input_inside(product, 0), output_inside(product)], {"x": x})
    np.testing.assert_array_equal(read, x)
    np.testing.assert_allclose(made, x @ random(4, 3), rtol=1e-5, atol=1e-6)


def test_a_scan_with_a_batch_axis_shows_nothing() -> None:
    assert not shows_bodies(node("Scan", ["x"], ["y"]), 8)
    assert shows_bodies(node("Scan", ["x"], ["y"]), 9)
    assert not shows_bodies(node("Loop", ["x"], ["y"], domain="own"), 9)


def test_a_body_in_a_body_shows_what_it_hides() -> None:
    inner = body("deep", [node("MatMul", ["a", "w"], ["b"])], "b")
    other = body("flat", [node("Identity", ["a"], ["c"])], "c")
    nodes = [
        node("Add", ["s", "e"], ["a"]),
        node("If", ["yes"], ["t"], then_branch=inner, else_branch=other),
        node("Neg", ["t"], ["o"]),
    ]
    model = scan(nodes)
    product, x = inner.node[0], random(5, 3, 4)
    read, made = shown(model, [input_inside(product, 0), output_inside(product)], {"x": x})
    expected = states_of(x)
    np.testing.assert_allclose(read, expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made, expected[1], rtol=1e-4, atol=1e-4)


def test_nodes_that_hide_nothing_wanted_stay() -> None:
    model = load(two_rates())
    assert with_shown(model, ["h", "z"]) == list(model.graph.node)
    product = node("MatMul", ["h", "w16"], ["a"])
    changed = with_shown(model, [output_inside(product)])
    assert [a == b for a, b in zip(changed, model.graph.node, strict=True)] == [
        True, True, False, True
    ]  # fmt: skip
    assert list(model.graph.node[2].output) == ["z"]
