"""Arrays from .npz and .npy files and mappings: names, labels, lengths and damaged files."""

from pathlib import Path

import numpy as np
import pytest
from sample_groups import inputs_of

from onnx_evoq.data.reading.arrays import from_mapping, read_arrays
from onnx_evoq.data.reading.limit import Limit
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

ONE = [TensorSpec("image", np.dtype("float32"), (None, 2))]
TWO = [
    TensorSpec("a", np.dtype("float32"), (None, 2)),
    TensorSpec("b", np.dtype("float32"), (None, 1)),
]
ALL = Limit()
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def test_npz_array_named_like_the_input_is_found(tmp_path: Path) -> None:
    raw = read_arrays(saved(tmp_path, image=ROWS, other=ROWS + 1), ONE, ALL)
    assert list(inputs_of(raw)) == ["image"]
    assert inputs_of(raw)["image"].tolist() == ROWS.tolist()
    assert raw.labels is None


def test_npz_x_stands_for_the_only_input(tmp_path: Path) -> None:
    assert (
        inputs_of(read_arrays(saved(tmp_path, x=ROWS), ONE, ALL))["image"].tolist() == ROWS.tolist()
    )


def test_npz_y_holds_the_labels(tmp_path: Path) -> None:
    raw = read_arrays(saved(tmp_path, x=ROWS, y=[2, 0, 1]), ONE, ALL)
    assert raw.labels is not None
    assert raw.labels.tolist() == [2, 0, 1]


def test_y_is_no_label_where_the_model_has_an_input_of_that_name() -> None:
    specs = [TensorSpec("y", np.dtype("float32"), (None, 2))]
    raw = from_mapping({"y": ROWS}, "the data", specs, ALL)
    assert list(inputs_of(raw)) == ["y"]
    assert raw.labels is None


def test_source_is_the_path(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS)
    assert read_arrays(path, ONE, ALL).source == str(path)


def test_a_missing_input_names_the_arrays_of_the_file_and_the_right_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.npz: holds 'img'.*name the array 'image' or 'x'"):
        read_arrays(saved(tmp_path, img=ROWS), ONE, ALL)


def test_a_missing_input_named_x_is_named_once() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), (None, 2))]
    with pytest.raises(DataError, match=r"input is 'x': name the array 'x'\.$"):
        from_mapping({"a": ROWS}, "the data", specs, ALL)


def test_an_array_named_like_the_input_goes_before_x() -> None:
    raw = from_mapping({"x": ROWS + 1, "image": ROWS}, "the data", ONE, ALL)
    assert inputs_of(raw)["image"].tolist() == ROWS.tolist()


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: No such file or directory\.$"):
        read_arrays(tmp_path / "none.npz", ONE, ALL)


def test_missing_one_of_two_inputs_does_not_offer_x() -> None:
    with pytest.raises(DataError, match=r"input is 'b': name the array 'b'\.$"):
        from_mapping({"a": ROWS, "x": ROWS}, "the data", TWO, ALL)


def test_empty_npz_is_said_to_hold_no_array(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no array"):
        read_arrays(saved(tmp_path), ONE, ALL)


def test_inputs_of_differing_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"number of samples \('a' 3, 'b' 2\)"):
        from_mapping({"a": ROWS, "b": np.ones((2, 1))}, "the data", TWO, ALL)


@pytest.mark.parametrize(
    ("labels", "found"), [([0, 1], "2 labels"), (np.int64(4), "a single number")]
)
def test_labels_that_do_not_match_the_samples_are_refused(labels: object, found: str) -> None:
    with pytest.raises(DataError, match=f"3 samples but {found} in 'y': give one label per sample"):
        from_mapping({"x": ROWS, "y": np.asarray(labels)}, "the data", ONE, ALL)


def test_a_single_number_is_no_array_of_samples(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'image' is a single number: give an array \(samples"):
        read_arrays(saved(tmp_path, x=np.float32(3)), ONE, ALL)


@pytest.mark.parametrize(("samples", "kept"), [(None, 3), (1, 1), (2, 2), (9, 3)])
def test_samples_limits_inputs_and_labels(samples: int | None, kept: int) -> None:
    raw = from_mapping({"x": ROWS, "y": np.arange(3)}, "the data", ONE, Limit(samples))
    assert raw.labels is not None
    assert (len(inputs_of(raw)["image"]), len(raw.labels)) == (kept, kept)


def test_npz_of_objects_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(
        DataError, match=r"data\.npz \(x\.npy\): holds pickled objects.*save plain arrays"
    ):
        read_arrays(path, ONE, ALL)


def test_npy_of_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"data\.npy: holds pickled objects.*save plain arrays"):
        read_arrays(path, ONE, ALL)


def test_truncated_npz_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"data\.npz: cannot be read: File is not a zip"):
        read_arrays(path, ONE, ALL)


def test_npz_with_a_flipped_byte_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS)
    content = path.read_bytes()
    assert content.count(ROWS.tobytes()) == 1
    path.write_bytes(content.replace(ROWS.tobytes(), (ROWS + 1).tobytes()))
    with pytest.raises(DataError, match=r"data\.npz: cannot be read: Bad CRC"):
        read_arrays(path, ONE, ALL)


def test_text_called_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"data\.npz: .*is damaged"):
        read_arrays(path, ONE, ALL)


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_empty_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    path.touch()
    with pytest.raises(DataError, match=rf"data\{ending}: is damaged, or is no array"):
        read_arrays(path, ONE, ALL)


def test_npy_is_the_only_input(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, ROWS)
    assert inputs_of(read_arrays(path, ONE, Limit(2)))["image"].tolist() == [[0, 1], [2, 3]]


def test_a_file_is_read_by_its_content_not_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with path.open("wb") as file:
        np.save(file, ROWS)
    assert inputs_of(read_arrays(path, ONE, ALL))["image"].tolist() == ROWS.tolist()


def test_npy_is_refused_for_a_model_of_two_inputs(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, ROWS)
    with pytest.raises(DataError, match=r"holds 'x', but the model's input is 'a'"):
        read_arrays(path, TWO, ALL)


def test_an_array_that_is_not_needed_is_not_opened(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS, other=np.array([{"a": 1}], dtype=object))
    assert inputs_of(read_arrays(path, ONE, ALL))["image"].tolist() == ROWS.tolist()


def test_samples_of_several_shapes_are_a_list_in_memory() -> None:
    specs = [
        TensorSpec("ids", np.dtype("int64"), (None, None)),
        TensorSpec("m", np.dtype("float32"), (None, 1)),
    ]
    data = {"ids": [[1, 2], [3, 4, 5], [6, 7]], "m": np.ones((3, 1)), "y": [[0], [1, 1], [2]]}
    raw = from_mapping(data, "the data", specs, ALL)
    assert [group.inputs["ids"].tolist() for group in raw.groups] == [
        [[1, 2], [6, 7]],
        [[3, 4, 5]],
    ]
    assert [group.places.tolist() for group in raw.groups] == [[0, 2], [1]]
    assert [group.inputs["m"].shape for group in raw.groups] == [(2, 1), (1, 1)]
    assert raw.labels is not None
    assert [labels.tolist() for labels in raw.labels] == [[0], [1, 1], [2]]


def test_a_list_of_samples_of_one_shape_is_one_array() -> None:
    raw = from_mapping({"x": list(ROWS)}, "the data", ONE, Limit(2))
    assert inputs_of(raw)["image"].tolist() == ROWS[:2].tolist()


def test_a_sample_of_lists_of_several_lengths_is_no_array() -> None:
    with pytest.raises(DataError, match="a sample of 'x' is no array: pad its rows to one length"):
        from_mapping({"x": [[[1, 2], [3]]]}, "the data", ONE, ALL)


def test_text_may_be_objects_in_memory() -> None:
    specs = [TensorSpec("s", np.dtype(object), (None,))]
    raw = from_mapping({"s": np.array(["a", "bcd"], object)}, "the data", specs, ALL)
    assert inputs_of(raw)["s"].tolist() == ["a", "bcd"]


def test_memory_bounds_the_number_of_samples_with_a_note(tmp_path: Path) -> None:
    raw = read_arrays(saved(tmp_path, x=ROWS, y=[2, 0, 1]), ONE, Limit(memory=17))
    assert inputs_of(raw)["image"].tolist() == ROWS[:2].tolist()
    assert raw.labels is not None
    assert raw.labels.tolist() == [2, 0]
    assert "the first 2 of 3 samples are used, since more would take over 17 bytes" in raw.notes[0]


def test_samples_count_in_the_type_that_the_model_takes() -> None:
    bytes_alone = from_mapping({"x": ROWS.astype(np.uint8)}, "the data", ONE, Limit(memory=17))
    assert len(inputs_of(bytes_alone)["image"]) == 2


def test_samples_without_any_value_are_refused() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), (None, None))]
    with pytest.raises(DataError, match="its samples are empty: give some values in each"):
        from_mapping({"x": np.ones((10**9, 0))}, "the data", specs, ALL)


def test_one_empty_input_of_two_is_taken() -> None:
    specs = [TensorSpec(name, np.dtype("float32"), (None, None)) for name in "ab"]
    raw = from_mapping({"a": np.ones((3, 0)), "b": np.ones((3, 2))}, "the data", specs, ALL)
    assert inputs_of(raw)["a"].shape == (3, 0)


def test_a_file_by_columns_that_is_too_large_asks_for_rows(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, np.asfortranarray(ROWS))
    assert inputs_of(read_arrays(path, ONE, Limit(2)))["image"].tolist() == ROWS[:2].tolist()
    with pytest.raises(DataError, match=r"by columns .* 24 bytes .* numpy\.ascontiguousarray"):
        read_arrays(path, ONE, Limit(2, memory=20))


def test_a_long_list_of_names_is_cut() -> None:
    arrays = {f"a{k}": ROWS for k in range(20)}
    with pytest.raises(DataError, match=r"holds 'a0', .*'a7' and 12 more, but"):
        from_mapping(arrays, "the data", ONE, ALL)
