"""The names of the axes of inputs."""

from graphs import model_of, node

from onnx_evoq.model import axis_names


def test_axes_have_names_where_the_model_gives_them() -> None:
    nodes = [node("Identity", ["x"], ["y"])]
    model = model_of(nodes, {"x": ["batch", None, "past + new", 3]}, {"y": None}, {})
    assert axis_names(model) == {"x": ("batch", None, "past + new", None)}


def test_what_stands_for_any_size_is_no_name() -> None:
    nodes = [node("Identity", ["x"], ["y"])]
    model = model_of(nodes, {"x": ["?", "?", "-1", "None"]}, {"y": None}, {})
    assert axis_names(model) == {"x": (None, None, None, None)}


def test_an_input_without_axes_is_left_out() -> None:
    model = model_of([node("Identity", ["x"], ["y"])], {"x": None}, {"y": None}, {})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert axis_names(model) == {}
