"""The grids of activations as results."""

from integer_nets import quantized_conv_net

from onnx_evoq.report import activation_results


def test_each_activation_has_a_row_in_the_order_of_the_graph() -> None:
    activations = quantized_conv_net()
    rows = activation_results(activations)
    assert [row.tensor for row in rows] == [tensor.name for tensor in activations.tensors]
    by_name = {row.tensor: row for row in rows}
    assert by_name["c"].low == 0
    assert by_name["c"].signed is False
    assert by_name["x"].low < 0 < by_name["x"].high
    for row in rows:
        assert row.scale == 2.0 ** -(row.frac_bits or 0)
        assert 0 <= row.clipped < 0.05


def test_float_activations_have_none() -> None:
    assert activation_results(None) == ()
