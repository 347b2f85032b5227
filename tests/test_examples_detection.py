"""The detection example: its metric on boxes worked out by hand, and on a real detector."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

import onnx_evoq

EXAMPLE = Path(__file__).parent.parent / "examples" / "detection.py"

CELLS = {8: 1600, 16: 400, 32: 100}


@pytest.fixture
def example() -> ModuleType:
    """The example, imported from its file."""
    spec = importlib.util.spec_from_file_location("detection_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(
    *found: tuple[int, int, float, tuple[int, int, int, int]], images: int = 1
) -> dict[str, NDArray[np.float32]]:
    """A detector's outputs with these boxes in the first image, and nothing else.

    Args:
        found: each (cell, class, score, distances): of stride 32, where cell 0 has its centre at
            (16, 16), and cell 1 at (48, 16); distances are whole strides to left, top, right and
            bottom.
        images: how many.
    """
    arrays = {
        f"{kind}{stride}": np.zeros((images, cells, width), np.float32)
        for stride, cells in CELLS.items()
        for kind, width in (("score", 80), ("box", 32))
    }
    for cell, kind, score, distances in found:
        arrays["score32"][0, cell, kind] = score
        bins = np.full((4, 8), -100.0)  # a softmax that is all in one bin
        bins[range(4), distances] = 100
        arrays["box32"][0, cell] = bins.ravel()
    return arrays


def labels(*boxes: tuple[int, ...], images: int = 1) -> NDArray[np.float64]:
    """Labels with these boxes (class, left, top, right, bottom) in the first image, padded."""
    y = np.full((images, 4, 5), -1.0)
    y[0, : len(boxes)] = np.array(boxes).reshape(-1, 5)
    return y


# Cell 0, one stride to each side: -16 to 48; cell 55 (x 5, y 5) likewise: 144 to 208.
NEAR, FAR = (-16, -16, 48, 48), (144, 144, 208, 208)
ONE = (1, 1, 1, 1)


def test_perfect_boxes_give_one(example: ModuleType) -> None:
    got = outputs((0, 3, 0.9, ONE), (55, 7, 0.8, ONE))
    assert example.mean_ap(got, labels((3, *NEAR), (7, *FAR))) == pytest.approx(1)


def test_a_missed_box_ends_the_recall_at_one_half(example: ModuleType) -> None:
    got = outputs((0, 3, 0.9, ONE))
    # Precision 1 at the recalls 0, .01, .. .50, which are 51 of 101
    assert example.mean_ap(got, labels((3, *NEAR), (3, *FAR))) == pytest.approx(51 / 101)


def test_a_missed_class_counts_as_zero(example: ModuleType) -> None:
    got = outputs((0, 3, 0.9, ONE))
    assert example.mean_ap(got, labels((3, *NEAR), (7, *FAR))) == pytest.approx(0.5)


def test_a_class_without_labels_does_not_count(example: ModuleType) -> None:
    got = outputs((0, 3, 0.9, ONE), (55, 7, 0.8, ONE))
    assert example.mean_ap(got, labels((3, *NEAR))) == pytest.approx(1)


def test_of_two_equal_boxes_one_stays(example: ModuleType) -> None:
    # Cell 1 lies a stride to the right: 0 to its left and 2 to its right is cell 0's box again
    same = outputs((0, 3, 0.9, ONE), (1, 3, 0.8, (2, 1, 0, 1)), (55, 3, 0.7, ONE))
    assert example.mean_ap(same, labels((3, *NEAR), (3, *FAR))) == pytest.approx(1)


def test_a_second_box_on_the_same_object_is_false(example: ModuleType) -> None:
    # -16 to 48 and -16 to 80 overlap by 64 * 64 / (96 * 64) = 2/3: drawn once at .6, twice at .7
    got = outputs((0, 3, 0.9, ONE), (1, 3, 0.8, (2, 1, 1, 1)), (55, 3, 0.7, ONE))
    truth = labels((3, *NEAR), (3, *FAR))
    assert example.mean_ap(got, truth) == pytest.approx(1)
    example.OVERLAP = 0.7
    # True, false, true: precision 1 up to a recall of .5, then 2/3
    assert example.mean_ap(got, truth) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_shifted_box_is_found_up_to_its_overlap(example: ModuleType) -> None:
    got = outputs((0, 3, 0.9, ONE))
    # 16 of 64 pixels to the right: 48 / 80 = .6, which .50, .55 and .60 allow
    assert example.mean_ap(got, labels((3, 0, -16, 64, 48))) == pytest.approx(0.3)
    assert example.ap50(got, labels((3, 0, -16, 64, 48))) == pytest.approx(1)


def test_a_better_false_detection_halves_the_precision(example: ModuleType) -> None:
    got = outputs((0, 3, 0.6, ONE), (55, 3, 0.9, ONE))
    assert example.mean_ap(got, labels((3, *NEAR))) == pytest.approx(0.5)


def test_a_box_in_another_image_is_not_found(example: ModuleType) -> None:
    got = outputs((0, 3, 0.9, ONE), images=2)
    truth = labels((3, *NEAR), images=2)[::-1]
    assert example.mean_ap(got, truth) == 0


def test_suppression_is_greedy(example: ModuleType) -> None:
    # The first suppresses the second, so that the third, which only the second overlaps, stays
    scores = np.array([[0.9], [0.8], [0.7]])
    boxes = np.array([[0, 0, 100, 10], [20, 0, 120, 10], [40, 0, 140, 10]], float)
    kind, score, _ = example.detections(scores, boxes)
    assert kind.tolist() == [0, 0]
    assert score.tolist() == [0.9, 0.7]


def test_nothing_found_gives_zero(example: ModuleType) -> None:
    assert example.mean_ap(outputs(), labels((3, *NEAR))) == 0


def test_unlabelled_data_are_said(example: ModuleType) -> None:
    with pytest.raises(ValueError, match="labels"):
        example.mean_ap(outputs(), None)


def test_data_that_are_not_there_are_said(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DETECTION_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="DETECTION_DATA"):
        next(example.val())


def test_labels_follow_the_image_into_the_square(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    for folder in ("images/val2017", "labels/val2017"):
        (tmp_path / folder).mkdir(parents=True)
    image.new("RGB", (640, 320), "red").save(tmp_path / "images/val2017/a.jpg")
    (tmp_path / "labels/val2017/a.txt").write_text("5 0.5 0.5 0.25 0.5\n")
    image.new("RGB", (320, 320)).save(tmp_path / "images/val2017/b.jpg")  # no file, no boxes
    monkeypatch.setenv("DETECTION_DATA", str(tmp_path))
    first, second = example.val()
    # 640 x 320 becomes 320 x 160, from row 80 on
    assert first["y"].tolist() == [[[5, 120, 120, 200, 200]]]
    assert second["y"].tolist() == [[[-1, -1, -1, -1, -1]]]
    assert first["image"].shape == (1, 3, 320, 320)
    blue, green, red = first["image"][0]
    assert red[160, 160] == pytest.approx((254 - 123.675) / 58.395, abs=0.05)
    assert red[40, 160] == pytest.approx(-123.675 / 58.395, abs=0.05)
    assert blue[160, 160] == pytest.approx(-103.53 / 57.375, abs=0.05)
    assert green[160, 160] == pytest.approx(-116.28 / 57.12, abs=0.05)


@pytest.mark.shared
@pytest.mark.parametrize(("metric", "value"), [("mean_ap", 0.291), ("ap50", 0.436)])
def test_a_real_detector_has_its_known_precision(
    shared: Path, monkeypatch: pytest.MonkeyPatch, metric: str, value: float
) -> None:
    monkeypatch.setenv("DETECTION_DATA", str(shared / "detection"))
    score = onnx_evoq.evaluate(
        shared / "detection" / "nanodet_320.onnx", f"{EXAMPLE}:val", metric=f"{EXAMPLE}:{metric}"
    )
    assert score.samples == 128
    assert score.value == pytest.approx(value, abs=0.003)
