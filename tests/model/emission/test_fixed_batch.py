"""A model for one sample computes what it computed for many."""

from graphs import conv_net, model_of, node, random, run

from onnx_evoq.model import fixed_batch, input_specs, load


def test_inputs_and_outputs_hold_one_sample() -> None:
    model = load(conv_net())
    fixed, still_open = fixed_batch(model)
    assert still_open == []
    for value in [*fixed.graph.input, *fixed.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_value == 1
    x = random(1, 3, 8, 8)
    assert (run(fixed, {"x": x})["logits"] == run(model, {"x": x})["logits"]).all()
    assert input_specs(model)[0].shape[0] != 1, "the model itself stays as it is"


def test_an_input_without_a_shape_is_open() -> None:
    model = load(conv_net())
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert fixed_batch(model)[1] == ["x"]


def test_other_open_axes_are_named() -> None:
    open_net = model_of(
        [node("Relu", ["x"], ["y"])], {"x": ["n", 3, "width"]}, {"y": ["n", 3, "width"]}, {}
    )
    fixed, still_open = fixed_batch(load(open_net))
    assert still_open == ["x"]
    assert fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 1
