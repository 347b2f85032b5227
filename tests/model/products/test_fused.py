"""What a node does with a matrix product by itself."""

from typing import Any

import pytest
from graphs import node
from onnx import NodeProto

from onnx_evoq.model.layers.activations import activation_of
from onnx_evoq.model.products.fused import (
    added_terms,
    fused_activation,
    goes_on,
    has_inner_product,
    scales_terms,
)
from onnx_evoq.quantize import Activation


def own(kind: str, inputs: str = "x w b", **attributes: Any) -> NodeProto:
    return node(kind, inputs.split(), ["y"], domain="com.microsoft", **attributes)


@pytest.mark.parametrize(
    ("of_node", "expected"),
    [
        (own("FusedConv", activation="Relu"), Activation()),
        (own("FusedConv", activation="LeakyRelu", activation_params=[0.5]), Activation(alpha=0.5)),
        (own("FusedConv", activation="Clip", activation_params=[-1.0, 2.0]), Activation(-1, 2)),
        (
            own("FusedConv", activation="HardSigmoid", activation_params=[0.5, 0.25]),
            Activation(-0.5, 1.5),
        ),
        (own("FusedGemm", activation="LeakyRelu", activation_alpha=0.25), Activation(alpha=0.25)),
        (own("FusedGemm", activation="Sigmoid"), None),  # hides nothing
    ],
    ids=str,
)
def test_an_activation_within_a_node_is_a_node(
    of_node: NodeProto, expected: Activation | None
) -> None:
    inner = fused_activation(of_node)
    assert inner is not None
    assert activation_of(inner, {}) == expected
    assert goes_on(of_node)


@pytest.mark.parametrize(
    "of_node",
    [own("FusedConv"), own("FusedGemm", activation=""), own("FusedMatMul", "x w"),
     node("Conv", ["x", "w", "b"], ["y"])],
)  # fmt: skip
def test_a_node_without_one_gives_its_product(of_node: NodeProto) -> None:
    assert fused_activation(of_node) is None
    assert not goes_on(of_node)


def test_the_terms_that_a_node_adds() -> None:
    assert added_terms(own("FusedConv", "x w b z")) == ["b", "z"]
    assert added_terms(node("Conv", ["x", "w", "b"], ["y"])) == ["b"]
    assert added_terms(node("Gemm", ["x", "w"], ["y"])) == []
    assert added_terms(own("Attention")) == []  # a bias of its own product, not of its output
    assert goes_on(own("FusedConv", "x w b z"))
    assert not goes_on(own("FusedConv", "x w b"))


@pytest.mark.parametrize("kind", ["Attention", "MoE"])
def test_some_nodes_go_on_with_their_product(kind: str) -> None:
    assert has_inner_product(own(kind))
    assert goes_on(own(kind))


def test_the_third_input_of_a_gemm_may_be_scaled() -> None:
    assert scales_terms(node("Gemm", ["x", "w", "b"], ["y"], beta=2.0))
    assert not scales_terms(node("Gemm", ["x", "w", "b"], ["y"], beta=1.0))
    assert not scales_terms(own("FusedConv"))
