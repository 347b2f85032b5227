"""When candidates are compared."""

import pytest

from onnx_evoq.score.racing import COMPARED_AT, comparison_batches


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        ([512], [1]),
        ([32, 32, 64, 128], [1, 2, 3, 4]),
        ([16] * 64, [2, 4, 8, 16, 32, 64]),
        ([64, 64, 64], [1, 2, 3]),
        ([10], [1]),
        ([1] * 40, [32, 40]),
        ([1] * 64, [32, 64]),
    ],
)
def test_candidates_are_compared_at_powers_of_two_from_32_samples(
    counts: list[int], ends: list[int]
) -> None:
    assert comparison_batches(counts) == ends


def test_there_are_twelve_comparisons_up_to_65_536_samples() -> None:
    assert (len(COMPARED_AT), COMPARED_AT[0], COMPARED_AT[-1]) == (12, 32, 65_536)
