"""Which axes of the inputs have one size, and which counts samples."""

import numpy as np

from onnx_evoq.model import InputUses, RowIndex
from onnx_evoq.setup.axes.layout import BATCH, Layout, is_batch, layouts
from onnx_evoq.signature import TensorSpec

Names = tuple[str | None, ...]


def found(
    inputs: dict[str, tuple[Names | tuple[int | str | None, ...], str]],
    uses: dict[str, InputUses] | None = None,
) -> list[Layout]:
    """The layouts of inputs: for each, sizes or names of its axes, and its type."""
    specs = [
        TensorSpec(name, np.dtype(dtype), tuple(a if isinstance(a, int) else None for a in axes))
        for name, (axes, dtype) in inputs.items()
    ]
    names = {
        name: tuple(a if isinstance(a, str) else None for a in axes)
        for name, (axes, _) in inputs.items()
    }
    return layouts(specs, names, {name: InputUses() for name in inputs} | (uses or {}))


def test_axes_of_one_name_have_one_size() -> None:
    first = found({"a": (("n", "t", 4), "float32"), "b": (("n", "t"), "int64")})[0]
    assert not first.whole
    assert first.names == ["t"]
    assert first.shapes({"t": 9}) == {"a": (9, 4), "b": (9,)}


def test_a_name_may_be_a_formula_of_others() -> None:
    first = found(
        {"past": (("n", "past"), "float32"), "new": (("n", "new"), "int64"),
         "mask": (("n", "past + new"), "int64")}
    )[0]  # fmt: skip
    assert first.names == ["past", "new"]
    assert first.shapes({"past": 3, "new": 2}) == {"past": (3,), "new": (2,), "mask": (5,)}


def test_a_formula_of_one_name_and_one_of_unknown_names() -> None:
    twice, unknown = found({"a": (("n", "2*k"), "float32"), "b": (("n", "x-y"), "float32")})[
        0
    ].names
    assert (twice, unknown) == ("k", "x-y")


def test_unnamed_axes_are_alike_in_inputs_of_one_type_and_shape() -> None:
    inputs = {"ids": ((None, None), "int64"), "mask": ((None, None), "int64")}
    tied, untied = found(inputs)[:2]
    assert len(tied.names) == 1
    assert len(untied.names) == 2
    assert len(found({"k": ((None, None), "float32"), "v": ((None, None), "float32")})) == 2


def test_a_recurrent_state_makes_whole_feeds() -> None:
    (first,) = found({"x": ((None, None), "float32"), "h": ((2, None, 8), "float32")})
    assert first.whole
    assert first.names == [BATCH, "axis 1 of float32 (None, None)"]
    assert first.shapes(dict(zip(first.names, (1, 5), strict=True))) == {
        "x": (1, 5),
        "h": (2, 1, 8),
    }


def test_an_adjacency_matrix_makes_whole_feeds() -> None:
    (first,) = found({"x": (("k", 4), "float32"), "a": (("k", "k"), "float32")})
    assert first.whole
    assert first.shapes({"k": 6}) == {"x": (6, 4), "a": (6, 6)}


def test_a_first_axis_named_as_a_length_makes_whole_feeds() -> None:
    assert all(each.whole for each in found({"x": (("num_points", 3), "float32")}))
    assert not found({"x": (("batch_time", 3), "float32")})[0].whole


def test_a_single_image_makes_whole_feeds() -> None:
    (first, *_) = found({"x": ((3, None, None), "float32")})
    assert first.whole
    assert first.shapes(dict(zip(first.names, (8, 9), strict=True))) == {"x": (3, 8, 9)}


def test_indices_of_entries_make_whole_feeds() -> None:
    uses = {"i": InputUses(rows=(RowIndex("h", 0),))}
    every = found({"x": ((None, 4), "float32"), "i": ((None, 2), "int64")}, uses)
    assert all(each.whole for each in every)
    assert BATCH not in every[0].names
    uses = {"i": InputUses(rows=(RowIndex("table", 0, constant=True),))}
    assert not found({"i": ((None, 2), "int64")}, uses)[0].whole


def test_batches_are_known_by_their_names() -> None:
    assert all(map(is_batch, ("batch", "B", "batch_size", "decoder_batch", BATCH)))
    assert not any(map(is_batch, ("n", "sequence", "nodes")))


def test_negative_sizes_are_no_shape() -> None:
    layout = found({"x": (("n", "t - 4"), "float32")})[0]
    assert layout.shapes({"t": 3}) is None
