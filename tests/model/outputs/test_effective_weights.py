import numpy as np
from graphs import mlp, model_of, node
from selecting_nets import two_stages

from onnx_evoq.model import find_weights, load
from onnx_evoq.model.outputs.effective_weights import stored_weights, weights_before


def test_weights_behind_a_selection_have_no_effect_on_what_lies_before_it() -> None:
    model = load(two_stages())
    assert weights_before(model, ["first", "head"], ["h"]) == {"first"}
    assert weights_before(model, ["first", "head"], ["h", "y"]) == {"first", "head"}
    assert weights_before(model, ["first", "head"], ["x"]) == set()


def test_weights_of_a_quantized_model_are_its_codes() -> None:
    codes, scale = np.zeros((4, 6), np.int8), np.float32(1)
    nodes = [node("DequantizeLinear", ["codes", "scale"], ["w"]), node("MatMul", ["x", "w"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": None}, {"codes": codes, "scale": scale})
    assert stored_weights(load(model, quantized=True)) == ["codes"]
    assert stored_weights(load(mlp())) == [weight.name for weight in find_weights(load(mlp()))[0]]
