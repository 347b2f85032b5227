"""Feeds from Python: iterables, functions, readers with get_next, and what they may do wrong."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.data import Data, load_samples
from onnx_evoq.data.arrays import Raw
from onnx_evoq.data.reader import from_iterable
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, 2))]
TWO = [
    TensorSpec("a", np.dtype("float32"), (None, 2)),
    TensorSpec("b", np.dtype("float32"), (3,)),
]


def read(source: object, samples: int | None = None) -> Raw:
    return from_iterable(source, "reader.py:feeds", SPECS, samples)  # type: ignore[arg-type]


def feeds(*rows: int) -> Iterator[dict[str, np.ndarray]]:
    """A feed of so many rows each, counting from 0."""
    start = 0
    for count in rows:
        yield {"x": np.repeat(np.arange(start, start + count, dtype=np.float32), 2).reshape(-1, 2)}
        start += count


def firsts(raw: Raw) -> list[float]:
    return [float(row[0]) for row in raw.inputs["x"]]


class Reader:
    """Shaped like ONNX Runtime's CalibrationDataReader."""

    def __init__(self) -> None:
        self._feeds = feeds(1, 1, 1)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def test_feeds_are_joined_along_the_batch_axis() -> None:
    assert firsts(read(feeds(2, 1, 3))) == [0, 1, 2, 3, 4, 5]


def test_function_is_called_for_its_feeds() -> None:
    assert firsts(read(lambda: feeds(1, 1))) == [0, 1]


def test_reader_is_read_until_none() -> None:
    assert firsts(read(Reader())) == [0, 1, 2]


def test_function_may_return_a_reader() -> None:
    assert firsts(read(Reader, samples=2)) == [0, 1]


def test_labels_in_the_feeds_are_joined() -> None:
    labelled = [
        {"x": np.ones((2, 2)), "y": np.array([3, 1])},
        {"x": np.ones((1, 2)), "y": np.int64(2)},
    ]
    raw = read(labelled)
    assert raw.labels is not None
    assert raw.labels.tolist() == [3, 1, 2]


@pytest.mark.parametrize("samples", [3, 4])
def test_reading_stops_once_there_are_enough_samples(samples: int) -> None:
    asked = []

    def source() -> Iterator[dict[str, np.ndarray]]:
        for feed in feeds(2, 2, 2, 2):
            asked.append(feed)
            yield feed

    assert firsts(read(source, samples)) == list(range(samples))
    assert len(asked) == 2


def test_without_a_common_batch_axis_each_feed_is_one_sample() -> None:
    feed = {"a": np.ones((1, 2)), "b": np.ones(3)}
    raw = from_iterable([feed] * 4, "the data", TWO, None)
    assert {name: array.shape for name, array in raw.inputs.items()} == {
        "a": (4, 1, 2),
        "b": (4, 3),
    }


def test_feeds_of_one_sample_without_a_batch_axis_end_at_the_number_of_samples() -> None:
    feed = {"a": np.ones((1, 2)), "b": np.ones(3)}
    raw = from_iterable([feed] * 4, "the data", TWO, 2)
    assert len(raw.inputs["a"]) == 2


def test_labels_without_a_batch_axis_in_the_inputs_are_joined() -> None:
    feed = {"a": np.ones((1, 2)), "b": np.ones(3), "y": np.int64(5)}
    raw = from_iterable([feed] * 2, "the data", TWO, None)
    assert raw.labels is not None
    assert raw.labels.tolist() == [5, 5]


def test_an_input_named_y_is_no_label() -> None:
    specs = [TensorSpec("y", np.dtype("float32"), (None, 2))]
    raw = from_iterable([{"y": np.ones((2, 2))}] * 2, "the data", specs, None)
    assert raw.inputs["y"].shape == (4, 2)
    assert raw.labels is None


def test_an_empty_feed_counts_as_one_sample_for_the_limit() -> None:
    assert len(read([{"x": np.ones((0, 2))}, {"x": np.ones((1, 2))}], samples=1).inputs["x"]) == 0


def test_numbers_alone_are_stacked() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), ())]
    raw = from_iterable([{"x": np.float32(1)}, {"x": np.float32(2)}], "the data", specs, None)
    assert raw.inputs["x"].tolist() == [1, 2]


@pytest.mark.parametrize("source", [[np.ones((1, 2))], lambda: [np.ones((1, 2))]])
def test_arrays_instead_of_feeds_are_refused(source: object) -> None:
    with pytest.raises(DataError, match=r"gives ndarray objects: give \{input name: array\}"):
        read(source)


def test_feed_that_lacks_an_input_is_refused() -> None:
    with pytest.raises(DataError, match="some feeds lack 'x': give every input in each feed"):
        read([{"x": np.ones((1, 2))}, {"z": np.ones((1, 2))}])


def test_feeds_that_all_lack_the_input_name_their_arrays() -> None:
    with pytest.raises(DataError, match=r"reader\.py:feeds: holds 'z', but the model's input is"):
        read([{"z": np.ones((1, 2))}])


def test_samples_of_differing_shapes_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"'x' has samples of shapes \(2,\) and \(3,\): pad or crop"
    ):
        read([{"x": np.ones((1, 3))}, {"x": np.ones((1, 2))}])


def test_feeds_of_one_sample_must_have_one_shape() -> None:
    feeds = [{"a": np.ones((1, 2)), "b": np.ones(size)} for size in (3, 4)]
    with pytest.raises(DataError, match=r"'b' has samples of shapes \(3,\) and \(4,\): pad"):
        from_iterable(feeds, "the data", TWO, None)


def test_feeds_of_two_ranks_name_their_shapes() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), (None,))]
    with pytest.raises(DataError, match=r"'x' has samples of shapes \(\) and \(2,\): pad"):
        from_iterable([{"x": np.ones(2)}, {"x": np.float32(1)}], "the data", specs, None)


def test_no_feeds_are_no_samples() -> None:
    with pytest.raises(DataError, match=r"reader\.py:feeds: holds no samples"):
        read([])


def test_exception_of_a_reader_is_quoted() -> None:
    def broken() -> Iterator[dict[str, np.ndarray]]:
        yield {"x": np.ones((1, 2))}
        raise KeyError("pixels")

    with pytest.raises(DataError, match=r"reader\.py:feeds: failed: KeyError: 'pixels'") as info:
        read(broken)
    assert isinstance(info.value.__cause__, KeyError)


def test_source_that_cannot_be_iterated_is_refused() -> None:
    with pytest.raises(DataError, match="failed: TypeError: 'int' object is not iterable"):
        read(5)


def test_function_of_a_file_is_read_and_fitted(tmp_path: Path) -> None:
    path = tmp_path / "feeding.py"
    path.write_text(
        "def feeds():\n    for i in range(3):\n        yield {'x': [[i, i]], 'y': [i % 2]}\n"
    )
    data = Data(f"{path}:feeds", samples=2)
    samples = load_samples(data, SPECS, np.random.default_rng(0))
    assert samples.inputs["x"].dtype == np.float32
    assert samples.inputs["x"].tolist() == [[0, 0], [1, 1]]
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1]
    assert samples.source == f"{path}:feeds"


def test_file_that_fails_to_import_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text("raise RuntimeError('no camera')\n")
    with pytest.raises(DataError, match=r"failing\.py:feeds' cannot be imported: RuntimeError: no"):
        load_samples(Data(f"{path}:feeds"), SPECS, np.random.default_rng(0))
