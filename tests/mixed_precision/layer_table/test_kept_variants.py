"""Variants of a layer that are kept."""

from pathlib import Path

import numpy as np

from onnx_evoq.mixed_precision.layer_table.kept_variants import keep_variants, kept_variants
from onnx_evoq.mixed_precision.search_space import SPLIT_SHARES
from onnx_evoq.quantize import LayerAtWidth
from onnx_evoq.record.random_state import state_of
from onnx_evoq.record.steps import FolderSteps


def variant(number: int) -> LayerAtWidth:
    """A variant that is told from others by its values."""
    return LayerAtWidth(
        np.full(2, number, np.float32), np.zeros(1, np.float32), np.full(1, number, np.float64)
    )


def test_variants_come_back_with_the_shares_that_repeat_them(tmp_path: Path) -> None:
    steps, rng = FolderSteps(tmp_path), np.random.default_rng(0)
    alone = [variant(1), variant(2)]
    all_shares = [alone] * len(SPLIT_SHARES)
    keep_variants(steps, "w", [all_shares, all_shares], 1, state_of(rng))
    after, again = rng.random(), np.random.default_rng(0)
    found = kept_variants(steps, "w", again)
    assert found is not None
    assert again.random() == after
    assert [len(found), *{len(each) for each in found}] == [2, len(SPLIT_SHARES)]
    assert {tuple(each.values[0] for each in widths) for g in found for widths in g} == {(1, 2)}
    assert found[0][0][1].costs.tolist() == [2.0]
    assert kept_variants(steps, "another", rng) is None


def test_shares_that_differ_are_kept_apart(tmp_path: Path) -> None:
    steps, rng = FolderSteps(tmp_path), np.random.default_rng(0)
    shares = [[variant(number)] for number in range(len(SPLIT_SHARES))]
    keep_variants(steps, "w", [shares], len(shares), state_of(rng))
    found = kept_variants(steps, "w", rng)
    assert found is not None
    assert [share[0].values[0] for share in found[0]] == list(range(len(SPLIT_SHARES)))


def test_the_values_of_variants_take_their_bits_on_the_disk(tmp_path: Path) -> None:
    steps, rng = FolderSteps(tmp_path), np.random.default_rng(0)
    values = rng.integers(-8, 8, (64, 64, 3, 3)).astype(np.float32) / 16
    of_all = [[LayerAtWidth(values, np.zeros(64, np.float32), np.zeros(64))]] * len(SPLIT_SHARES)
    keep_variants(steps, "w", [of_all], 1, state_of(rng))
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size < values.nbytes / 6
    found = kept_variants(steps, "w", rng)
    assert found is not None
    assert found[0][0][0].values.tobytes() == values.tobytes()
