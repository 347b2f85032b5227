"""Which weights become matrices, and which input is their bias."""

from typing import Any

import pytest
from graphs import node
from onnx import NodeProto

from onnx_evoq.model.products.matrix_of import bias_position, linear_of
from onnx_evoq.quantize import Dense, Linear, Window


def own(kind: str, **attributes: Any) -> NodeProto:
    return node(kind, ["x", "w", "b"], ["y"], domain="com.microsoft", **attributes)


@pytest.mark.parametrize(
    ("of_node", "dims", "expected"),
    [
        (
            own("FusedConv", pads=[1, 1], strides=[2], group=2, activation="Relu"), [4, 2, 3],
            Window((3,), (2,), (1,), (1, 1), 2),
        ),
        (own("FusedMatMul", alpha=0.5), [4, 3], Dense("...k,kn->...n", 0.5)),
        (own("FusedGemm", alpha=2.0, transB=1), [3, 4], Dense("...k,nk->...n", 2.0)),
        (own("Attention"), [4, 12], Dense("...k,kn->...n")),
        (node("Gemm", ["x", "w"], ["y"], alpha=0.0), [4, 3], None),
        (node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik"), [4, 3], Dense("ij,jk->ik")),
        (
            node("ConvTranspose", ["x", "w"], ["y"], output_padding=[1], strides=[2]), [4, 3, 3],
            Window((3,), (2,), (1,), (0, 0), 1, transposed=True, output_padding=(1,)),
        ),
        (own("ConvTransposeWithDynamicPads"), [4, 3, 3], None),
        (own("CausalConvWithState"), [4, 1, 3], None),
        (node("DeformConv", ["x", "w", "o"], ["y"]), [4, 3, 3, 3], None),
    ],
)  # fmt: skip
def test_a_weight_becomes_a_matrix(
    of_node: NodeProto, dims: list[int], expected: Linear | None
) -> None:
    assert linear_of(of_node, 1, dims) == expected


def test_an_operator_of_another_domain_is_not_known_by_its_name() -> None:
    of_node = node("Conv", ["x", "w"], ["y"], domain="my.ops")
    assert linear_of(of_node, 1, [4, 3, 3]) is None


@pytest.mark.parametrize(
    ("of_node", "position", "expected"),
    [
        (node("Conv", ["x", "w"], ["y"]), 1, 2),
        (node("MatMul", ["x", "w"], ["y"]), 1, None),
        (own("FusedGemm"), 1, 2),
        (own("Attention"), 1, 2),
        (own("MoE"), 2, 3),
        (own("MoE"), 6, 7),
        (own("FusedMatMul"), 1, None),
    ],
)
def test_the_bias_is_an_input_of_the_node(
    of_node: NodeProto, position: int, expected: int | None
) -> None:
    assert bias_position(of_node, position) == expected
