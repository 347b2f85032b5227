"""Folders of images: classes, CSV labels, sizes, and models that take grey or nhwc images."""

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_groups import inputs_of

from onnx_evoq.data import Data, Samples, load_samples
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec


def spec(*shape: int | None) -> TensorSpec:
    return TensorSpec("x", np.dtype("float32"), (None, *shape))


def load(folder: Path, wanted: TensorSpec | None = None, **options: object) -> Samples:
    data = Data(folder, **options)  # type: ignore[arg-type]
    return load_samples(data, [wanted or spec(3, 2, 2)])


def draw(folder: Path, values: Mapping[str, int], size: tuple[int, int] = (2, 2)) -> Path:
    """Images of (height, width) `size`, each of one grey `value`."""
    for name, value in values.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return folder


def greys(samples: Samples) -> list[float]:
    """The first number of each sample, by which the images of a test are told apart."""
    return [float(values.flat[0]) for values in inputs_of(samples)["x"]]


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_images_without_classes_come_by_name_and_have_no_labels(tmp_path: Path) -> None:
    draw(tmp_path, {"b.png": 2, "a.png": 1, "c.BMP": 3})
    (tmp_path / "notes.txt").write_text("no image")
    samples = load(tmp_path)
    assert greys(samples) == [1, 2, 3]
    assert samples.labels is None


def test_classes_are_taken_in_turn(tmp_path: Path) -> None:
    draw(tmp_path, {"dog/1.png": 21, "dog/2.png": 22, "dog/3.png": 23, "cat/1.png": 11})
    samples = load(tmp_path)
    assert samples.labels is not None
    assert greys(samples) == [11, 21, 22, 23]
    assert samples.labels.tolist() == [0, 1, 1, 1]


def test_numeric_classes_are_sorted_by_number(tmp_path: Path) -> None:
    samples = load(draw(tmp_path, {"10/a.png": 10, "9/a.png": 9, "0/a.png": 0}))
    assert samples.labels is not None
    assert greys(samples) == [0, 9, 10]
    assert samples.labels.tolist() == [0, 1, 2]


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    assert load(draw(tmp_path, {"a.png": 1, ".cache/b.png": 2})).labels is None


def test_images_behind_the_first_samples_are_not_read(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1, "b.png": 2})
    (tmp_path / "c.png").write_text("no image")
    assert greys(load(tmp_path, samples=2)) == [1, 2]


def test_first_samples_of_classes_are_balanced(tmp_path: Path) -> None:
    draw(tmp_path, {f"{name}/{i}.png": i for name in "ab" for i in range(3)})
    samples = load(tmp_path, samples=4)
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1, 0, 1]


def test_csv_names_files_and_labels(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1, "deep/b.png": 2})
    samples = load(tmp_path, labels=table(tmp_path, "file,label\ndeep/b.png,7\na.png,4\n"))
    assert samples.labels is not None
    assert greys(samples) == [2, 1]
    assert samples.labels.tolist() == [7, 4]


def test_split_selects_rows(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1, "b.png": 2})
    labels = table(tmp_path, "file,label,split\na.png,0,train\nb.png,1,test\n")
    assert greys(load(tmp_path, labels=labels, split="test")) == [2]
    assert greys(load(tmp_path, labels=labels)) == [1, 2]


def test_csv_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1})
    labels = table(tmp_path, "file,label\na.png,3\n", encoding="utf-8-sig")
    assert greys(load(tmp_path, labels=labels)) == [1]


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("name,label\na.png,1\n", None, r"labels\.csv: has no column 'file': name the columns"),
        ("file,class\na.png,1\n", None, r"labels\.csv: has no column 'label'"),
        ("file,label\na.png,1\n", "test", r"labels\.csv: has no column 'split'"),
        ("file,label,split\na.png,1,train\n", "test", r"labels\.csv: no row has the split 'test'"),
        ("file,label\n", None, r"labels\.csv: has no rows"),
        ("file,label\na.png\n", None, r"labels\.csv: row 1 has no file or no label"),
        ("file,label\nz.png,1\n", None, r"labels\.csv: names 'z\.png', which is not in "),
        ("file,label\na.png,cat\n", None, r"labels\.csv: a label is not a whole number.*'cat'"),
    ],
)
def test_bad_csv_is_named(tmp_path: Path, text: str, split: str | None, message: str) -> None:
    draw(tmp_path, {"a.png": 1})
    with pytest.raises(DataError, match=message):
        load(tmp_path, labels=table(tmp_path, text), split=split)


def test_missing_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read: No such file"):
        load(tmp_path, labels=tmp_path / "none.csv")


def test_split_needs_a_labels_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"split 'test' needs a labels file.*--labels"):
        load(tmp_path, split="test")


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path.name}: holds no images: give a few hundred"):
        load(tmp_path)


def test_unreadable_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: cannot be read as an image: remove or replace"):
        load(tmp_path)


def test_an_image_that_the_disk_does_not_give_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    draw(tmp_path, {"a.png": 1})
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(DataError, match=r"a\.png: cannot be read: Permission denied"):
        load(tmp_path)


def test_an_image_that_memory_does_not_hold_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    draw(tmp_path, {"a.png": 1})
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        load(tmp_path)


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(DataError, match=f"{tmp_path.name}: cannot be read: Permission denied"):
        load(tmp_path)


def test_images_of_several_sizes_are_taken_where_the_model_takes_any(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1, "c.png": 3})
    draw(tmp_path, {"b.png": 2}, (2, 4))
    samples = load(tmp_path, spec(3, None, None))
    assert [group.inputs["x"].shape for group in samples.groups] == [(2, 3, 2, 2), (1, 3, 2, 4)]
    assert [group.places.tolist() for group in samples.groups] == [[0, 2], [1]]
    note = samples.notes[-1]
    assert "3 samples have 2 shapes" in note
    assert "resize and crop give images one size" in note
    (group,) = load(tmp_path, spec(3, None, None), resize=2, crop=2).groups
    assert group.inputs["x"].shape == (3, 3, 2, 2)


def test_what_is_named_like_an_image_and_is_no_file_is_named(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1})
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png: is a pipe, and no file: remove or replace it"):
        load(tmp_path)
    (tmp_path / "b.png").unlink()
    (tmp_path / "b.jpg").mkdir()  # no folder of a class
    with pytest.raises(DataError, match=r"b\.jpg: is a folder, and no file"):
        load(tmp_path)


def test_a_csv_that_is_a_pipe_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(DataError, match=r"labels\.csv: is a pipe"):
        load(draw(tmp_path, {"a.png": 1}), labels=tmp_path / "labels.csv")


def test_a_size_that_does_not_fit_into_memory_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1})
    data = Data(tmp_path, resize=(10**6, 10**6))
    with pytest.raises(DataError, match=r"a\.png resized to 1000000x1000000: 2 samples take 6000"):
        load_samples(data, [spec(3, None, None)], memory=10**9)


def test_images_that_do_not_fit_into_memory_are_left_out(tmp_path: Path) -> None:
    draw(tmp_path, {f"{k}.png": k for k in range(5)})
    samples = load_samples(Data(tmp_path), [spec(3, 2, 2)], memory=150)
    assert greys(samples) == [0, 1, 2]  # of 3 * 2 * 2 floats each
    assert any("the first 3 of 5 samples are used" in note for note in samples.notes)


def test_images_of_another_size_cover_the_model_s_and_a_note_says_so(tmp_path: Path) -> None:
    columns = np.repeat(np.uint8([0, 0, 90, 90, 0, 0]), 3).reshape(1, 6, 3)
    Image.fromarray(np.repeat(columns, 2, axis=0)).save(tmp_path / "a.png")
    samples = load(tmp_path)  # 2x6 covers 2x2 as it is, so that only the centre is left
    assert inputs_of(samples)["x"].tolist() == [[[[90, 90], [90, 90]]] * 3]
    assert any("resized to cover 2x2 and cropped" in note for note in samples.notes)


def test_images_of_the_model_s_size_get_no_such_note(tmp_path: Path) -> None:
    samples = load(draw(tmp_path, {"a.png": 1}))
    assert not any("resized" in note for note in samples.notes)


def test_resize_is_of_the_shorter_side_and_crop_takes_the_centre(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1}, (4, 8))
    assert inputs_of(load(tmp_path, spec(3, None, None), resize=2))["x"].shape == (1, 3, 2, 4)
    assert inputs_of(load(tmp_path, spec(3, None, None), resize=(3, 5)))["x"].shape == (1, 3, 3, 5)
    ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    cropped = inputs_of(load(tmp_path, spec(3, 2, 2), crop=2))["x"]
    assert cropped[0, 0].tolist() == [[5, 6], [9, 10]]


def test_resize_and_crop_are_done_once(tmp_path: Path) -> None:
    ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    fitted = inputs_of(load(tmp_path, spec(3, 2, 2), resize=4, crop=2))["x"]
    assert fitted[0, 0].tolist() == [[5, 6], [9, 10]]


def test_crop_larger_than_the_image_names_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.png: 2x2 is smaller than the crop 3x3: resize to more"
    ):
        load(draw(tmp_path, {"a.png": 1}), spec(3, 3, 3), crop=3)


def test_grey_models_get_grey_images(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2, 3), (255, 0, 0), np.uint8)).save(tmp_path / "a.png")
    # 76 is the luma of pure red: 0.299 * 255
    assert inputs_of(load(tmp_path, spec(1, 2, 2)))["x"].tolist() == [[[[76, 76], [76, 76]]]]


def test_layout_follows_the_model(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1}, (5, 6))
    assert inputs_of(load(tmp_path, spec(3, 5, 6)))["x"].shape == (1, 3, 5, 6)
    assert inputs_of(load(tmp_path, spec(5, 6, 3)))["x"].shape == (1, 5, 6, 3)


def test_bgr_takes_blue_first(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2, 3), (10, 20, 30), np.uint8)).save(tmp_path / "a.png")
    assert inputs_of(load(tmp_path, color="bgr"))["x"][0, :, 0, 0].tolist() == [30, 20, 10]


def test_model_without_image_axes_needs_arrays(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'x' is float32 \(n, 4\): give arrays \(\.npz\) instead"):
        load(draw(tmp_path, {"a.png": 1}), spec(4))


def test_folder_needs_a_model_of_one_input(tmp_path: Path) -> None:
    specs = [spec(3, 2, 2), spec(3, 2, 2)]
    with pytest.raises(DataError, match="goes with a model of one input, not 2"):
        load_samples(Data(draw(tmp_path, {"a.png": 1})), specs)


def test_second_row_without_a_label_is_counted_from_one(tmp_path: Path) -> None:
    draw(tmp_path, {"a.png": 1})
    with pytest.raises(DataError, match="row 2 has no file or no label"):
        load(tmp_path, labels=table(tmp_path, "file,label\na.png,1\na.png\n"))


@pytest.mark.parametrize(("size", "side"), [((4, 8), 2), ((8, 4), 2), ((3, 7), 5)])
def test_images_are_resized_to_cover_the_model_s_size(
    tmp_path: Path, size: tuple[int, int], side: int
) -> None:
    draw(tmp_path, {"a.png": 7}, size)
    samples = load(tmp_path, spec(3, side, side))
    assert inputs_of(samples)["x"].shape == (1, 3, side, side)
    assert (inputs_of(samples)["x"] == 7).all()


def test_covering_keeps_the_proportions(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (4, 1))  # 4x16, covered by 2x8
    Image.fromarray(ramp).save(tmp_path / "a.png")
    fitted = inputs_of(load(tmp_path, spec(1, 2, 2)))["x"]
    assert fitted[0, 0, 0, 1] - fitted[0, 0, 0, 0] == pytest.approx(20, abs=1)


def test_progress_has_a_step_per_image(tmp_path: Path) -> None:
    steps: list[float] = []
    draw(tmp_path, {"a.png": 1, "b.png": 2})
    load_samples(
        Data(tmp_path), [spec(3, 2, 2)],
        lambda label, total: nullcontext(lambda amount, **where: steps.append(amount / total)),
    )  # fmt: skip
    assert steps == [0.5, 0.5]


def test_missing_pillow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, {"a.png": 1})
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"needs Pillow: pip install 'onnx-evoq\[images\]'"):
        load(tmp_path)
