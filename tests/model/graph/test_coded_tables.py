"""Tables of codes give the numbers of tables of floats, bit by bit."""

import numpy as np
import pytest
from graphs import model_of, node, random, rounded, run
from onnx import ModelProto, TensorProto

from onnx_evoq.model import as_network, load, with_codes
from onnx_evoq.model.graph.coded_tables import with_coded_tables

IDS = np.array([[0, 3], [7, 3]])


def table_net(*, dtype: str = "float32", tied: bool = False) -> ModelProto:
    """ids -> two rows of a table "e" twice -> their sum, or the product with the table."""
    nodes = [
        node("Gather", ["e", "ids"], ["one"]),
        node("Gather", ["e", "ids"], ["two"]),
        node("Add", ["one", "two"], ["sum"]),
        node("Transpose", ["e"], ["t"]) if tied else node("Identity", ["sum"], ["y"]),
    ]
    if tied:
        nodes.append(node("MatMul", ["sum", "t"], ["y"]))
    weights = {"e": random(8, 5, dtype=dtype)}
    model = model_of(
        nodes, {"ids": ["n", 2]}, {"y": None}, weights, dtype=dtype, dtypes={"ids": "int64"}
    )
    return load(model)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("bits", [2, 8])
def test_the_outputs_are_the_same_bits(dtype: str, bits: int) -> None:
    network = with_codes(table_net(dtype=dtype), rounded(table_net(dtype=dtype), bits))
    expected = run(network, {"ids": IDS})["y"]
    coded = with_coded_tables(network, 0)
    assert coded.graph.initializer[0].data_type == TensorProto.INT8
    assert [n.op_type for n in coded.graph.node].count("Mul") == 2
    found = run(coded, {"ids": IDS})["y"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_other_tables_stay() -> None:
    model = table_net()
    codes = rounded(model, 4)
    small = with_coded_tables(with_codes(model, codes), 8 * 5 * 4 + 1)
    floats = with_coded_tables(as_network(model).with_values({"e": random(8, 5, seed=3)}), 0)
    tied = with_coded_tables(with_codes(table_net(tied=True), codes), 0)
    for network in (small, floats, tied):
        assert network.graph.initializer[0].data_type == TensorProto.FLOAT
        assert "Mul" not in {n.op_type for n in network.graph.node}
