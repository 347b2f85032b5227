"""Arrays from .npz and .npy files and mappings: names, labels, lengths and damaged files."""

from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.data.arrays import from_mapping, read_arrays
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

ONE = [TensorSpec("image", np.dtype("float32"), (None, 2))]
TWO = [
    TensorSpec("a", np.dtype("float32"), (None, 2)),
    TensorSpec("b", np.dtype("float32"), (None, 1)),
]
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def test_npz_array_named_like_the_input_is_found(tmp_path: Path) -> None:
    raw = read_arrays(saved(tmp_path, image=ROWS, other=ROWS + 1), ONE, None)
    assert list(raw.inputs) == ["image"]
    assert raw.inputs["image"].tolist() == ROWS.tolist()
    assert raw.labels is None


def test_npz_x_stands_for_the_only_input(tmp_path: Path) -> None:
    assert read_arrays(saved(tmp_path, x=ROWS), ONE, None).inputs["image"].tolist() == ROWS.tolist()


def test_npz_y_holds_the_labels(tmp_path: Path) -> None:
    raw = read_arrays(saved(tmp_path, x=ROWS, y=[2, 0, 1]), ONE, None)
    assert raw.labels is not None
    assert raw.labels.tolist() == [2, 0, 1]


def test_y_is_no_label_where_the_model_has_an_input_of_that_name() -> None:
    specs = [TensorSpec("y", np.dtype("float32"), (None, 2))]
    raw = from_mapping({"y": ROWS}, "the data", specs, None)
    assert list(raw.inputs) == ["y"]
    assert raw.labels is None


def test_source_is_the_path(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS)
    assert read_arrays(path, ONE, None).source == str(path)


def test_a_missing_input_names_the_arrays_of_the_file_and_the_right_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.npz: holds 'img'.*name the array 'image' or 'x'"):
        read_arrays(saved(tmp_path, img=ROWS), ONE, None)


def test_a_missing_input_named_x_is_named_once() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), (None, 2))]
    with pytest.raises(DataError, match=r"input is 'x': name the array 'x'\.$"):
        from_mapping({"a": ROWS}, "the data", specs, None)


def test_an_array_named_like_the_input_goes_before_x() -> None:
    raw = from_mapping({"x": ROWS + 1, "image": ROWS}, "the data", ONE, None)
    assert raw.inputs["image"].tolist() == ROWS.tolist()


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as \.npz: No such file or directory\.$"):
        read_arrays(tmp_path / "none.npz", ONE, None)


def test_missing_one_of_two_inputs_does_not_offer_x() -> None:
    with pytest.raises(DataError, match=r"input is 'b': name the array 'b'\.$"):
        from_mapping({"a": ROWS, "x": ROWS}, "the data", TWO, None)


def test_empty_npz_is_said_to_hold_no_array(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no array"):
        read_arrays(saved(tmp_path), ONE, None)


def test_inputs_of_differing_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"number of samples \('a' 3, 'b' 2\)"):
        from_mapping({"a": ROWS, "b": np.ones((2, 1))}, "the data", TWO, None)


@pytest.mark.parametrize(
    ("labels", "found"), [([0, 1], "2 labels"), (np.int64(4), "a single number")]
)
def test_labels_that_do_not_match_the_samples_are_refused(labels: object, found: str) -> None:
    with pytest.raises(DataError, match=f"3 samples but {found} in 'y': give one label per sample"):
        from_mapping({"x": ROWS, "y": np.asarray(labels)}, "the data", ONE, None)


def test_a_single_number_is_no_array_of_samples(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'image' is a single number: give an array \(samples"):
        read_arrays(saved(tmp_path, x=np.float32(3)), ONE, None)


@pytest.mark.parametrize(("samples", "kept"), [(None, 3), (1, 1), (2, 2), (9, 3)])
def test_samples_limits_inputs_and_labels(samples: int | None, kept: int) -> None:
    raw = from_mapping({"x": ROWS, "y": np.arange(3)}, "the data", ONE, samples)
    assert raw.labels is not None
    assert (len(raw.inputs["image"]), len(raw.labels)) == (kept, kept)


def test_npz_of_objects_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"data\.npz: holds pickled objects.*save plain arrays"):
        read_arrays(path, ONE, None)


def test_npy_of_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"data\.npy: holds pickled objects.*save plain arrays"):
        read_arrays(path, ONE, None)


def test_truncated_npz_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"data\.npz: cannot be read as \.npz"):
        read_arrays(path, ONE, None)


def test_npz_with_a_flipped_byte_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS)
    content = path.read_bytes()
    assert content.count(ROWS.tobytes()) == 1
    path.write_bytes(content.replace(ROWS.tobytes(), (ROWS + 1).tobytes()))
    with pytest.raises(DataError, match=r"data\.npz: cannot be read as \.npz: Bad CRC"):
        read_arrays(path, ONE, None)


def test_text_called_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"data\.npz: .*is damaged"):
        read_arrays(path, ONE, None)


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_empty_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    path.touch()
    with pytest.raises(DataError, match=rf"cannot be read as \{ending}"):
        read_arrays(path, ONE, None)


def test_npy_is_the_only_input(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, ROWS)
    assert read_arrays(path, ONE, 2).inputs["image"].tolist() == [[0, 1], [2, 3]]


def test_truncated_npy_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, ROWS)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"data\.npy: .*is damaged"):
        read_arrays(path, ONE, None)


def test_a_file_is_read_by_its_content_not_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with path.open("wb") as file:
        np.save(file, ROWS)
    assert read_arrays(path, ONE, None).inputs["image"].tolist() == ROWS.tolist()


def test_npy_is_refused_for_a_model_of_two_inputs(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    np.save(path, ROWS)
    with pytest.raises(DataError, match=r"holds 'x', but the model's input is 'a'"):
        read_arrays(path, TWO, None)
