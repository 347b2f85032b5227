"""Kinds of sources, and options that do not go with them."""

from pathlib import Path

import numpy as np
import pytest
from sample_groups import inputs_of

from onnx_evoq.array_types import Arrays
from onnx_evoq.data import Data, Samples, as_data, load_samples, refuse_preprocessing
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, 2))]
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def load(source: object, **options: object) -> Samples:
    data = Data(source, **options)  # type: ignore[arg-type]
    return load_samples(data, SPECS)


def test_as_data_wraps_a_source_and_leaves_data_alone() -> None:
    data = Data("a.npz", divide=2)
    assert as_data(data) is data
    assert as_data("a.npz") == Data("a.npz")
    assert as_data(None).source is None


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (ROWS, "the array"),
        ({"x": ROWS}, "the data"),
        ([{"x": ROWS}], "the data"),
        (lambda: [{"x": ROWS}], "the data"),
    ],
)
def test_objects_in_memory_are_sources(source: object, name: str) -> None:
    samples = load(source)
    assert inputs_of(samples)["x"].tolist() == ROWS.tolist()
    assert samples.source == name


@pytest.mark.parametrize("kind", [str, Path])
def test_path_may_be_a_string(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "data.npy"
    np.save(path, ROWS)
    assert inputs_of(load(kind(path)))["x"].tolist() == ROWS.tolist()


def test_a_name_that_is_too_long_is_named() -> None:
    with pytest.raises(DataError, match="x: cannot be read: File name too long"):
        load("x" * 300)


def test_mapping_may_hold_labels() -> None:
    labels = load({"x": ROWS, "y": np.array([1, 0, 1])}, samples=2).labels
    assert labels is not None
    assert labels.tolist() == [1, 0]


def test_samples_bounds_an_array() -> None:
    assert len(load(ROWS, samples=2)) == 2


def test_steps_are_applied() -> None:
    assert inputs_of(load(ROWS, divide=2, mean=[1]))["x"].tolist() == [
        [-1, -0.5],
        [0, 0.5],
        [1, 1.5],
    ]


def test_missing_file_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.npy\.gz: no such file or folder"):
        load("nowhere.npy.gz")


def test_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.touch()
    with pytest.raises(
        DataError,
        match=r"data\.csv: is neither \.npz, \.npy, a folder nor package\.module:function",
    ):
        load(path)


def test_missing_module_is_named() -> None:
    with pytest.raises(
        DataError, match="'no_such_module:feeds' cannot be imported: ModuleNotFound"
    ):
        load("no_such_module:feeds")


@pytest.mark.parametrize("source", [np.ones((0, 2)), {"x": np.ones((0, 2))}, []])
def test_no_samples_are_refused(source: object) -> None:
    with pytest.raises(DataError, match="holds no samples: give a few hundred"):
        load(source)


@pytest.mark.parametrize("options", [{"labels": "labels.csv"}, {"split": "test"}])
def test_labels_file_does_not_go_with_an_npz(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=ROWS)
    with pytest.raises(DataError, match=r"data\.npz: labels and split .* image folders only"):
        load(path, **options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", "labels.csv"),
        ("split", "test"),
        ("divide", 255),
        ("mean", [0]),
        ("std", [1]),
        ("layout", "nchw"),
        ("resize", 8),
        ("crop", 8),
    ],
)
def test_steps_without_data_are_refused(name: str, value: object) -> None:
    with pytest.raises(DataError, match=f"^{name} is given, but no data.*name the data too"):
        refuse_preprocessing(Data(**{name: value}))


def test_input_range_with_data_is_refused() -> None:
    with pytest.raises(DataError, match="input_range is for synthetic inputs: leave it out"):
        load(ROWS, input_range=(0, 1))


def test_without_a_source_there_is_nothing_to_read() -> None:
    with pytest.raises(DataError, match="no samples to read: name a source"):
        load(None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": 0}, "samples 0 is too few"),
        ({"samples": -1}, "samples -1 is too few"),
        ({"input_range": (1, 0)}, "input_range .* is empty"),
        ({"layout": "chw"}, "layout 'chw' is unknown: choose nchw or nhwc"),
        ({"color": "grb"}, "color 'grb' is unknown: choose rgb or bgr"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Data(**fields)


def test_one_mean_stands_for_all_channels() -> None:
    assert Data(mean=0.5, std=2).preprocess == Data(mean=(0.5,), std=(2,)).preprocess


def test_color_without_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"^color is given, but no data that it applies to"):
        refuse_preprocessing(Data(color="bgr"))


def test_an_input_range_of_one_number_is_empty() -> None:
    with pytest.raises(DataError, match=r"input_range \(1, 1\) is empty"):
        Data(input_range=(1, 1))


@pytest.mark.parametrize(
    "source", [np.ones((3, 2)), {"x": np.ones((3, 2))}, [{"x": np.ones((1, 2))}]]
)
def test_label_files_go_with_folders_only(source: object) -> None:
    spec = TensorSpec("x", np.dtype("float32"), (None, 2))
    with pytest.raises(DataError, match="labels and split files go with image folders only") as no:
        load_samples(Data(source, labels="l.csv"), [spec])  # type: ignore[arg-type]
    assert str(no.value).startswith(source if isinstance(source, str) else "the data")


def test_feeds_may_hold_more_than_the_model_takes() -> None:
    spec = TensorSpec("x", np.dtype("float32"), (None, 2))
    feeds = [{"x": np.ones((1, 2)), "id": np.arange(k)} for k in (1, 2)]
    assert len(load_samples(Data(feeds), [spec])) == 2


def test_feeds_whose_shape_the_model_does_not_take_are_refused() -> None:
    feeds = [{"x": np.ones((1, 2))}, {"x": np.ones((1, 3))}]
    with pytest.raises(DataError, match=r"'x' has shape \(1, 3\), but the model takes float32"):
        load(feeds)


def test_rows_are_tried_in_the_form_that_the_model_takes() -> None:
    tried = []

    def mixes(feed: Arrays) -> bool:
        tried.append(feed["x"])
        return False

    data = Data([{"x": np.uint8([[1, 2], [3, 4], [5, 6]])}, {"x": [[7, 8]]}], divide=2)
    samples = load_samples(data, SPECS, keeps_rows_apart=mixes)
    (feed,) = tried  # once
    assert feed.dtype == np.float32
    assert feed.tolist() == [[0.5, 1], [1.5, 2], [2.5, 3]]
    assert [group.inputs["x"].shape for group in samples.groups] == [(1, 3, 2), (1, 1, 2)]


OPEN = [TensorSpec("x", np.dtype("float32"), (None, None))]


@pytest.mark.parametrize(("lengths", "noted"), [((3, 4, 3, 4), False), ((3, 4, 5, 3), True)])
def test_samples_that_are_seldom_alike_are_noted(lengths: tuple[int, ...], noted: bool) -> None:
    data = Data([{"x": np.ones((1, length))} for length in lengths])
    notes = load_samples(data, OPEN).notes
    expected = "the data: the 4 samples have 3 shapes, and only those of one shape are run together"
    assert any(note.startswith(expected) for note in notes) == noted


def test_a_folder_of_arrays_holds_feeds_unless_it_has_images(tmp_path: Path) -> None:
    for k in range(3):
        np.save(tmp_path / f"{k}.npy", np.full(k + 1, k))
    samples = load_samples(Data(tmp_path), OPEN)
    assert [group.inputs["x"].shape for group in samples.groups] == [(1, 1), (1, 2), (1, 3)]
    with pytest.raises(DataError, match="labels and split files go with image folders only"):
        load_samples(Data(tmp_path, labels="l.csv"), OPEN)
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match="images need an input of four axes"):
        load_samples(Data(tmp_path), OPEN)


def test_samples_that_memory_does_not_allow_are_left_out() -> None:
    samples = load_samples(Data(ROWS), SPECS, memory=16)
    assert inputs_of(samples)["x"].tolist() == ROWS[:2].tolist()
