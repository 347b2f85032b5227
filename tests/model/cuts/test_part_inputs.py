"""The sizes that the inputs of a part of a model state."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from graphs import body, model_of, node, random, run, two_rates
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from onnx_evoq.model import bridge, load
from onnx_evoq.model.cuts.part_inputs import part_inputs
from onnx_evoq.signature import TensorSpec


def spec(name: str, *shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)


def stated(values: Sequence[ValueInfoProto]) -> dict[str, list[int | str] | None]:
    """The sizes of each value, with the names of open ones; None for one without a rank."""
    return {
        value.name: [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.HasField("shape")
        else None
        for value in values
    }


def part_of_if(
    before: Sequence[NodeProto], weights: Mapping[str, np.ndarray]
) -> tuple[ModelProto, list[NodeProto]]:
    """x (n, t) -> `before` -> h -> If(flag), and the If."""
    one, other = (
        body("one", [node("Neg", ["h"], ["a"])], "a"),
        body("other", [node("Relu", ["h"], ["b"])], "b"),
    )
    branches = node("If", ["flag"], ["y"], then_branch=one, else_branch=other)
    inputs, dtypes = {"x": ["n", "t"], "flag": []}, {"flag": "bool"}
    model = model_of([*before, branches], inputs, {"y": ["n", "m"]}, weights, dtypes=dtypes)
    model.opset_import.append(helper.make_opsetid("own", 1))
    return load(model), [branches]


def test_a_part_without_bodies_states_what_the_samples_show() -> None:
    model = load(two_rates())
    found = part_inputs(model, [node("Relu", ["x"], ["h"])], [spec("x", None, 16)])
    assert stated(found) == {"x": ["", 16]}


def test_an_input_of_the_model_is_as_the_model_states_it() -> None:
    model, nodes = part_of_if([node("Relu", ["x"], ["h"])], {})
    assert stated(part_inputs(model, nodes, [spec("x", 1, 16)])) == {"x": ["n", "t"]}


def test_a_tensor_between_has_the_sizes_that_follow_from_the_model() -> None:
    model, nodes = part_of_if([node("MatMul", ["x", "w"], ["h"])], {"w": random(16, 8)})
    assert stated(part_inputs(model, nodes, [spec("h", 1, 8)])) == {"h": ["n", 8]}


def test_a_rank_that_depends_on_the_samples_is_open() -> None:
    flat = body("flat", [node("Identity", ["x"], ["i"])], "i")
    deep = body("deep", [node("Unsqueeze", ["x", "axis"], ["u"])], "u")
    before = [node("If", ["flag"], ["h"], then_branch=flat, else_branch=deep)]
    model, nodes = part_of_if(before, {"axis": np.array([1])})
    assert stated(part_inputs(model, nodes, [spec("h", 1, 16)])) == {"h": None}


def test_behind_an_operator_that_onnx_does_not_know_only_the_rank_is_stated() -> None:
    model, nodes = part_of_if([node("Own", ["x"], ["h"], domain="own")], {})
    assert stated(part_inputs(model, nodes, [spec("h", 1, 16)])) == {"h": ["", ""]}


def test_an_integer_vector_keeps_its_length() -> None:
    before = [node("NonZero", ["x"], ["z"]), node("Squeeze", ["z"], ["h"])]
    model, nodes = part_of_if(before, {})
    found = part_inputs(model, nodes, [spec("h", 3, dtype="int64")])
    assert stated(found) == {"h": [3]}


@pytest.mark.parametrize("known", ["x", "h"])
def test_a_branch_for_another_width_loads(known: str) -> None:
    model, x = load(two_rates()), random(1, 16)
    rate = {"rate": np.array(16)}
    part = bridge(model, [spec(known, 1, 16), spec("rate", dtype="int64")], ["z"])
    assert part is not None
    expected = run(two_rates(), {"x": x, **rate})["y"]
    z = run(part, {known: x if known == "x" else np.maximum(x, 0), **rate})["z"]
    np.testing.assert_allclose(z @ random(8, 4), expected, rtol=1e-4, atol=1e-5)
