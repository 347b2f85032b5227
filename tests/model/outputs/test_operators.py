import pytest
from graphs import node
from onnx import TensorProto

from onnx_evoq.model.outputs.operators import (
    casts_to_steps,
    index_inputs,
    is_invertible,
    is_known,
    passes_shape,
    reduces_all,
    shape_inputs,
)


def test_inputs_that_say_a_shape_or_a_place_are_listed() -> None:
    assert shape_inputs(node("Reshape", ["x", "s"], ["y"])) == {1}
    assert shape_inputs(node("Relu", ["x"], ["y"])) == frozenset()
    assert index_inputs(node("GatherND", ["x", "i"], ["y"])) == {1}


def test_a_scatter_has_the_shape_of_what_it_changes() -> None:
    scatter = node("ScatterND", ["x", "i", "u"], ["y"])
    assert [passes_shape(scatter, position) for position in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("inputs", "options", "every"),
    [
        (["x"], {}, True),
        (["x", "axes"], {}, False),
        (["x"], {"axes": [1]}, False),
        (["x"], {"noop_with_empty_axes": 1}, False),
    ],
)
def test_a_reduction_without_axes_is_one_of_all(
    inputs: list[str], options: dict[str, object], every: bool
) -> None:
    reduction = node("ReduceMax", inputs, ["y"], **options)
    assert reduces_all(reduction) is every
    assert passes_shape(reduction, 0) is not every


@pytest.mark.parametrize(
    ("to", "steps"),
    [("UINT8", True), ("BOOL", True), ("STRING", True), ("FLOAT16", False), ("BFLOAT16", False)],
)
def test_a_cast_to_no_floats_rounds(to: str, steps: bool) -> None:
    cast = node("Cast", ["x"], ["y"], to=getattr(TensorProto, to))
    assert casts_to_steps(cast) is steps
    assert is_invertible(cast) is not steps


def test_operators_of_other_domains_are_not_known() -> None:
    assert is_known(node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml"))
    assert not is_known(node("Identity", ["x"], ["y"], domain="mine"))
    assert not is_invertible(node("Identity", ["x"], ["y"], domain="mine"))
