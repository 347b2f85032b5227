"""What to try for the inputs of a model."""

from itertools import islice

import numpy as np
import pytest
from graphs import model_of, node, random
from onnx import ModelProto

from onnx_evoq.data import InputPlan, Noise, Whole
from onnx_evoq.errors import DataError
from onnx_evoq.model import load
from onnx_evoq.setup.axes.layout import layouts
from onnx_evoq.setup.synthetic.choice import Choice
from onnx_evoq.setup.synthetic.facts import facts_of


def choice(model: ModelProto, limits: tuple[float, float] | None = None) -> Choice:
    facts = facts_of(load(model))
    return Choice(facts, limits, layouts(facts.specs, facts.names, facts.uses)[0])


def first(model: ModelProto, limits: tuple[float, float] | None = None) -> InputPlan:
    return next(choice(model, limits).plans())[0]


def strided(*readers: tuple[str, ...], rows: int = 1, **weights: object) -> ModelProto:
    """x (n, 3, h, w) -> Conv with strides -> others -> y."""
    nodes = [node("Conv", ["x", "k"], ["c"], strides=[16 * rows, 16])]
    nodes += [node(op, inputs, [output]) for op, *inputs, output in readers]
    given = {"k": random(8, 3, 16 * rows, 16), **weights}
    return model_of(nodes, {"x": ["n", 3, None, None]}, {"y": None}, given)  # type: ignore[arg-type]


def test_a_product_behind_a_flatten_says_how_large_images_are() -> None:
    model = strided(("Flatten", "c", "f"), ("MatMul", "f", "w", "y"), w=random(8 * 36, 5))
    assert first(model).shape == (3, 96, 96)


def test_a_table_of_positions_says_how_large_images_are() -> None:
    model = strided(
        ("Reshape", "c", "size", "r"), ("Add", "r", "table", "y"), size=np.int64([0, 8, -1]),
        table=random(1, 8, 144),
    )  # fmt: skip
    assert first(model).shape == (3, 192, 192)


def test_strides_say_that_images_are_lines_of_text() -> None:
    assert first(strided(("Relu", "c", "y"), rows=4)).shape == (3, 48, 640)
    assert first(strided(("GlobalAveragePool", "c", "y"), rows=4)).shape == (3, 48, 192)
    assert first(strided(("Relu", "c", "y"))).shape == (3, 128, 128)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, [(3, 128, 128), (3, 64, 64)]), (4, [(3, 48, 640), (3, 48, 320), (3, 48, 160)])],
)
def test_smaller_images_have_half_the_sides_down_to_64(
    rows: int, expected: list[tuple[int, ...]]
) -> None:
    tried = choice(strided(("Relu", "c", "y"), rows=rows))
    shapes, plans = [], next(tried.plans())
    while plans:
        shapes.append(plans[0].shape)
        plans = next(tried.smaller(plans), [])
    assert shapes[: len(expected)] == expected


def test_inputs_with_a_role_are_remembered() -> None:
    nodes = [node("Gather", ["w", "i"], ["g"]), node("Add", ["g", "x"], ["y"])]
    model = model_of(
        nodes, {"i": ["n", 3], "x": ["n", 3, 4]}, {"y": None}, {"w": random(9, 4)},
        dtypes={"i": "int64"},
    )  # fmt: skip
    tried = choice(model, (0, 1))
    indices, floats = next(tried.plans())
    assert (indices.values, floats.values) == (Whole(0, 9), Noise().within(0, 1))
    assert tried.with_role == {"i"}


def test_the_first_nodes_say_the_range_of_an_input() -> None:
    nodes = [node("Cast", ["x"], ["f"], to=1), node("Div", ["f", "c"], ["y"])]
    model = model_of(
        nodes, {"x": ["n", 3]}, {"y": None}, {"c": np.float32(255)}, dtypes={"x": "int64"}
    )
    tried = choice(model)
    (plan,) = next(tried.plans())
    assert plan.values == Noise().within(0, 255)
    assert tried.scaled == {"x"}


def test_a_range_that_holds_no_value_is_refused() -> None:
    model = model_of(
        [node("Identity", ["x"], ["y"])], {"x": ["n", 3]}, {"y": None}, {}, dtype="uint8"
    )
    with pytest.raises(DataError, match="300 to 400 holds no value of input 'x', which is uint8"):
        list(islice(choice(model, (300, 400)).plans(), 1))
