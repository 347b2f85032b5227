"""Names of hidden tensors."""

from graphs import node

from onnx_evoq.model.inside.names import gate_inputs, gate_states, input_inside, output_inside


def test_each_tensor_around_a_node_has_a_name_of_its_own() -> None:
    one, other = node("LSTM", ["x", "w", "r"], ["", "h"]), node("MatMul", ["x", "w"], ["y"])
    names = {
        name
        for each in (one, other)
        for name in (
            input_inside(each, 0), input_inside(each, 1), output_inside(each), gate_inputs(each),
            gate_states(each),
        )
    }  # fmt: skip
    assert len(names) == 10
    assert names.isdisjoint({"x", "w", "r", "h", "y"})
