"""Which chunks are added together."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.engine.samples import parts as module
from onnx_evoq.engine.samples.parts import OfBatch, batches_of_section, parts_of
from onnx_evoq.quantize import SampleChunk


def chunk(number: int, positions: int = 4, samples: int = 2, **kind: int) -> OfBatch:
    values = random(1, positions, 3, seed=number), random(1, positions, 2, seed=number)
    return OfBatch(SampleChunk(*values, **kind), number, samples)  # type: ignore[arg-type]


def lengths(parts: list[list[SampleChunk]]) -> list[list[int]]:
    return [[each.columns.shape[1] for each in part] for part in parts]


@pytest.mark.parametrize(("batches", "expected"), [(1, 1), (16, 1), (17, 2), (32, 2), (600, 38)])
def test_there_are_about_sixteen_sections(batches: int, expected: int) -> None:
    assert batches_of_section(batches) == expected


def test_chunks_of_one_kind_and_use_are_added_together() -> None:
    kinds = [{"heldout": True}, {"use": 1}, {}, {"heldout": True}, {}]
    chunks = [chunk(k, 4 + k, **kind) for k, kind in enumerate(kinds)]
    found = list(parts_of(chunks, heldout=True))
    assert lengths(found) == [[4, 7], [6, 8], [5]]
    assert {(part[0].heldout, part[0].use) for part in found} == {(True, 0), (False, 0), (False, 1)}


def test_many_values_are_not_added_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_VALUES", 2 * 4 * 3)
    found = list(parts_of([chunk(k) for k in range(5)], heldout=True))
    assert lengths(found) == [[4, 4], [4, 4], [4]]


def test_without_batches_that_are_held_out_chunks_are_halved() -> None:
    found = list(parts_of([chunk(k, 5) for k in range(3)], heldout=False))
    assert lengths(found) == [[3, 2, 3], [2, 3, 2]]
    whole = np.concatenate([random(1, 5, 3, seed=k) for k in range(3)], axis=1)
    ordered = [part.columns for pair in zip(*found, strict=True) for part in pair]
    np.testing.assert_array_equal(np.concatenate(ordered, axis=1), whole)


def test_a_batch_of_one_sample_is_of_one_half() -> None:
    found = list(parts_of([chunk(k, samples=1) for k in (0, 1, 3)], heldout=False))
    assert lengths(found) == [[4, 0, 0], [0, 4, 4]]


def test_no_half_is_without_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    # A layer in a branch, which every other batch takes: all are of the second half.
    monkeypatch.setattr(module, "_CHUNK_VALUES", 4 * 3)
    for numbers in ((1, 3, 5), (0, 2, 4)):
        found = list(parts_of([chunk(k, samples=1) for k in numbers], heldout=False))
        assert sum(sum(each) for each in lengths(found)) == 12
        assert all(sum(each) for each in lengths(found))


def test_the_halves_of_a_batch_do_not_depend_on_those_before_it() -> None:
    together = list(parts_of([chunk(k, 5) for k in range(2)], heldout=False))
    alone = list(parts_of([chunk(1, 5)], heldout=False))
    for half, own in zip(together, alone, strict=True):
        np.testing.assert_array_equal(half[1].columns, own[0].columns)
