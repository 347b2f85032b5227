"""The equations of matrix products against ONNX Runtime."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, run
from linears import same

from onnx_evoq.model import find_weights, load
from onnx_evoq.model.weights.equations import channel_axis, contracts, equation_of
from onnx_evoq.quantize import Dense

OWN = {"domain": "com.microsoft"}


def einsum(equation: str, *inputs: str) -> Any:
    return node("Einsum", inputs or ["x", "w"], ["y"], equation=equation)


PRODUCTS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "right": (node("MatMul", ["x", "w"], ["y"]), (2, 5, 4), (4, 3)),
    "left": (node("MatMul", ["w", "x"], ["y"]), (2, 4, 5), (3, 4)),
    "vector": (node("MatMul", ["x", "w"], ["y"]), (2, 5, 4), (4,)),
    "vector on the left": (node("MatMul", ["w", "x"], ["y"]), (2, 4, 5), (4,)),
    "heads": (node("MatMul", ["x", "w"], ["y"]), (2, 3, 5, 4), (3, 4, 6)),
    "heads on the left": (node("MatMul", ["w", "x"], ["y"]), (2, 3, 4, 5), (3, 6, 4)),
    "one head": (node("MatMul", ["x", "w"], ["y"]), (2, 3, 5, 4), (1, 4, 6)),
    "heads of one kind": (node("MatMul", ["x", "w"], ["y"]), (2, 3, 7, 5, 4), (3, 1, 4, 6)),
    "gemm": (node("Gemm", ["x", "w"], ["y"]), (5, 4), (4, 3)),
    "gemm, transB": (node("Gemm", ["x", "w"], ["y"], transB=1), (5, 4), (3, 4)),
    "gemm, transA": (node("Gemm", ["x", "w"], ["y"], transA=1), (4, 5), (4, 3)),
    "gemm, both": (node("Gemm", ["x", "w"], ["y"], transA=1, transB=1), (4, 5), (3, 4)),
    "gemm on the left": (node("Gemm", ["w", "x"], ["y"], transA=1, transB=1), (5, 4), (4, 3)),
    "fused": (node("FusedMatMul", ["x", "w"], ["y"], transB=1, **OWN), (2, 5, 4), (3, 4)),
    "fused, transA": (node("FusedMatMul", ["x", "w"], ["y"], transA=1, **OWN), (2, 4, 5), (4, 3)),
    "fused, left": (node("FusedMatMul", ["w", "x"], ["y"], transB=1, **OWN), (2, 5, 4), (3, 4)),
    "fused heads": (node("FusedMatMul", ["x", "w"], ["y"], transB=1, **OWN), (2, 5, 4), (2, 3, 4)),
    "fused, batch of the input": (
        node("FusedMatMul", ["x", "w"], ["y"], transBatchA=1, **OWN), (5, 2, 4), (2, 4, 3)
    ),
    "fused, batch of the weight": (
        node("FusedMatMul", ["x", "w"], ["y"], transBatchB=1, **OWN), (2, 5, 4), (4, 2, 3)
    ),
    "fused, all": (
        node("FusedMatMul", ["x", "w"], ["y"], transA=1, transB=1, transBatchA=1, transBatchB=1,
             **OWN),
        (4, 2, 3, 5), (6, 2, 3, 4),
    ),
    "transposed": (node("TransposeMatMul", ["x", "w"], ["y"], transA=1, **OWN), (2, 4, 5), (4, 3)),
    "einsum": (einsum("bij,jk->bik"), (2, 5, 4), (4, 3)),
    "einsum, left": (einsum("kj, bij -> bik", "w", "x"), (2, 5, 4), (3, 4)),
    "einsum of heads": (einsum("bhqd,hdk->bhqk"), (2, 3, 5, 4), (3, 4, 6)),
    "einsum into heads": (einsum("bsd,dhk->bhsk"), (2, 5, 4), (4, 3, 6)),
    "einsum out of heads": (einsum("bhsk,hkd->bsd"), (2, 3, 5, 6), (3, 6, 4)),
    "einsum of a matrix": (einsum("ij,bjk->bik"), (5, 4), (2, 4, 3)),
    "einsum without an output": (einsum("bij,jk"), (2, 5, 4), (4, 3)),
    "einsum of any rank": (einsum("...j,jk->...k"), (2, 3, 5, 4), (4, 6)),
    "einsum of any rank, both": (einsum("...ij,...jk->...ik"), (2, 3, 5, 4), (1, 3, 4, 6)),
    "einsum, one head": (einsum("bhij,hjk->bhik"), (2, 3, 5, 4), (1, 4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("case", PRODUCTS)
def test_an_equation_is_what_the_node_computes(case: str) -> None:
    of_node, x, weight = PRODUCTS[case]
    values, of_weight = random(*x), random(*weight, seed=1)
    model = load(model_of([of_node], {"x": list(x)}, {"y": None}, {"w": of_weight}))
    position = list(of_node.input).index("w")
    equation = equation_of(of_node, position, weight)
    assert equation is not None
    assert same(Dense(equation), of_weight, values, run(model, {"x": values})["y"])
    assert [found.name for found in find_weights(model)[0]] == ["w"]


@pytest.mark.parametrize(
    "equation",
    [
        "i,j->ij",  # an outer product
        "bij,jk->bk",  # sums over an axis of the input
        "bij,jkl->bik",  # and of the weight
        "bii,ik->bk",  # a diagonal
        "bij,jk,kl->bil",  # three factors
        "...j,jk->k",
    ],
)
def test_other_equations_are_no_matrix_products(equation: str) -> None:
    letters = equation.partition("->")[0].split(",")[1]
    assert equation_of(einsum(equation), 1, [2] * len(letters)) is None


@pytest.mark.parametrize("position", [0, 2])
def test_only_the_right_input_of_another_operator_is_multiplied(position: int) -> None:
    assert equation_of(node("Attention", ["x", "w", "b"], ["y"], **OWN), position, [4, 12]) is None
    assert equation_of(node("Conv", ["x", "w", "b"], ["y"]), 1, [4, 12]) is None


def test_an_einsum_contracts_what_it_sums_products_over() -> None:
    assert contracts(einsum("bij,jk,kl->bil"), 1)
    assert not contracts(einsum("i,j->ij"), 1)
    assert not contracts(einsum("bij,jk->bijk"), 1)


@pytest.mark.parametrize(
    ("equation", "dims", "axis"),
    [
        ("...k,kn->...n", [4, 3], 1),
        ("...k,nk->...n", [3, 4], 0),
        ("...hmk,hkn->...hmn", [9, 4, 3], 2),
        ("bsd,dhk->bhsk", [4, 3, 6], 2),
        ("bsd,dhk->bhsk", [4, 12, 6], 1),  # the longer one has more steps
        ("bhd,hd->bh", [3, 4], 0),
        ("...k,k->...", [4], None),
        ("bcd,cd->b", [3, 4], None),
    ],
)
def test_the_channel_axis_is_one_that_the_output_keeps(
    equation: str, dims: list[int], axis: int | None
) -> None:
    assert channel_axis(equation, dims) == axis


@pytest.mark.parametrize(
    ("kind", "position", "dims", "expected"),
    [("Attention", 1, [4, 12], "...k,kn->...n"), ("MoE", 2, [3, 8, 4], "...k,enk->...en")],
)
def test_the_first_products_of_larger_operators(
    kind: str, position: int, dims: list[int], expected: str
) -> None:
    of_node = node(kind, ["x", "w", "v"], ["y"], **OWN)
    assert equation_of(of_node, position, dims) == expected
    assert np.prod(dims) == np.prod(Dense(expected).matrix(np.empty(dims)).shape)
