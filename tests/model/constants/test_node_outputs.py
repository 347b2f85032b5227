"""Outputs of nodes that read constants."""

import ml_dtypes
import numpy as np
import pytest
from graphs import mlp, node, random
from onnx import NodeProto

from onnx_evoq.array_types import Array
from onnx_evoq.model.constants.node_outputs import outputs_of

W = random(4, 3)


def outputs(each: NodeProto, *inputs: Array | None, most: int = 100) -> list[Array]:
    return outputs_of(each, inputs, mlp(), most)


def test_a_copy_takes_no_memory() -> None:
    (found,) = outputs(node("Identity", ["w"], ["k"]), W)
    assert found is W


@pytest.mark.parametrize("trains", [False, True])
def test_dropout_is_computed_unless_it_trains(trains: bool) -> None:
    each = node("Dropout", ["w", "", "t"], ["k"])
    if trains:
        with pytest.raises(ValueError, match="draws random numbers"):
            outputs(each, W, None, np.array(True))
    else:
        assert (outputs(each, W, None, np.array(False))[0] == W).all()


def test_what_may_be_of_any_size_needs_a_known_one() -> None:
    each = node("Range", ["a", "b", "c"], ["k"])
    numbers = [np.float64(number) for number in (0, 1e12, 1)]
    with pytest.raises(ValueError, match=r"Range\(k\) makes a tensor of unknown size"):
        outputs(each, *numbers)
    with pytest.raises(ValueError, match="makes more than 100 values"):
        outputs(each, *(np.float32(number) for number in numbers))
    assert outputs(each, *(np.float32(number) for number in (0, 3, 1)))[0].tolist() == [0, 1, 2]


def test_strings_are_refused() -> None:
    with pytest.raises(ValueError, match="makes strings"):
        outputs(node("Cast", ["w"], ["k"], to=8), W)


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_codes_of_any_type_become_floats_in_any_operator_set(domain: str) -> None:
    each = node("DequantizeLinear", ["w", "s", "z"], ["k"], domain=domain, axis=0, block_size=2)
    codes = np.arange(-8, 4).reshape(4, 3).astype(ml_dtypes.int4)
    scale, zero = np.abs(random(2, 3)), np.ones((2, 3), ml_dtypes.int4)
    (found,) = outputs(each, codes, scale, zero)
    assert np.allclose(found, (codes.astype(np.float32) - 1) * np.repeat(scale, 2, axis=0))


def test_a_division_by_zero_gives_what_onnx_runtime_does() -> None:
    zeros = np.zeros(2, np.float32)
    (found,) = outputs(node("Div", ["w", "z"], ["k"]), np.float32([1, 0]), zeros)
    assert np.array_equal(found, [np.inf, np.nan], equal_nan=True)
