"""What is sent of a Hessian is all that is read of it, to the bit."""

import numpy as np
import pytest
from layer_problems import problem, random_codes

from onnx_evoq.executors.tasks.packing import packed, parts_of, unpacked
from onnx_evoq.quantize.grid import FactoredHessian, closest_codes
from onnx_evoq.quantize.rows.sent_hessian import RoundedHessian, SentHessian


def damped(groups: int, columns: int) -> FactoredHessian:
    """A Hessian whose entries above the diagonal are not all those below it."""
    matrix = problem((groups, 1, columns))[1].matrix.copy()
    matrix[0, 1, 3] += 1e-3
    matrix[-1, 0, columns - 1] += 1e-3
    return FactoredHessian(matrix, np.linspace(0.5, 2.0, groups))


def arrived(hessian: FactoredHessian, groups: slice) -> RoundedHessian:
    """Some groups of a Hessian, as a worker gets them."""
    sent = SentHessian.of(RoundedHessian.of(hessian, groups))
    found: RoundedHessian = unpacked(packed(parts_of(sent)[0])).hessian()
    return found


@pytest.mark.parametrize("columns", [5, 128, 129, 300])
def test_a_hessian_arrives_to_the_bit(columns: int) -> None:
    hessian, found = damped(3, columns), arrived(damped(3, columns), slice(1, 3))
    assert found.dtype == hessian.dtype
    for array, expected in [
        (found.rounded, hessian.rounded),
        (found.diagonal, hessian.diagonal),
        (found.factor.order, hessian.factor.order),
        (found.factor.pivots, hessian.factor.pivots),
        (found.factor.lower, hessian.factor.lower),
    ]:
        assert array.dtype == expected.dtype
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, expected[1:])


@pytest.mark.parametrize("columns", [20, 300])
def test_codes_are_those_of_the_hessian_itself(columns: int) -> None:
    weights, _, grid = problem((2, 8, columns))
    hessian = damped(2, columns)
    codes = closest_codes(weights, arrived(hessian, slice(0, 2)), grid)
    np.testing.assert_array_equal(codes, closest_codes(weights, hessian, grid))


def test_groups_of_a_hessian_are_no_copies() -> None:
    hessian = damped(3, 6)
    part = RoundedHessian.of(hessian, slice(1, 2))
    assert np.shares_memory(part.rounded, hessian.rounded)
    assert np.shares_memory(part.factor.lower, hessian.factor.lower)
    error = random_codes((3, 2, 6))
    np.testing.assert_array_equal(part.times(error[1:2]), hessian.times(error)[1:2])


def test_a_wide_hessian_takes_little_more_than_half_of_its_bytes() -> None:
    hessian = FactoredHessian(np.eye(1500)[None])
    parts, _ = parts_of(SentHessian.of(RoundedHessian.of(hessian, slice(0, 1))))
    assert sum(part.nbytes for part in parts) < 1.15 * 1500**2 * 4
