"""Feeds from Python: iterables, functions, readers with get_next, and what they may do wrong."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sample_groups import inputs_of

from onnx_evoq.data import Data, load_samples
from onnx_evoq.data.reading.feeds import from_iterable
from onnx_evoq.data.reading.limit import Limit
from onnx_evoq.data.reading.raw import Raw
from onnx_evoq.data.source import always
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, 2))]
TWO = [
    TensorSpec("a", np.dtype("float32"), (None, 2)),
    TensorSpec("b", np.dtype("float32"), (3,)),
]


def read(source: object, samples: int | None = None) -> Raw:
    return from_iterable(source, "reader.py:feeds", SPECS, Limit(samples), always)  # type: ignore[arg-type]


def feeds(*rows: int) -> Iterator[dict[str, np.ndarray]]:
    """A feed of so many rows each, counting from 0."""
    start = 0
    for count in rows:
        yield {"x": np.repeat(np.arange(start, start + count, dtype=np.float32), 2).reshape(-1, 2)}
        start += count


def firsts(raw: Raw) -> list[float]:
    return [float(row[0]) for row in inputs_of(raw)["x"]]


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
    raw = from_iterable([feed] * 4, "the data", TWO, Limit(), always)
    assert {name: array.shape for name, array in inputs_of(raw).items()} == {
        "a": (4, 1, 2),
        "b": (4, 3),
    }


def test_feeds_of_one_sample_without_a_batch_axis_end_at_the_number_of_samples() -> None:
    feed = {"a": np.ones((1, 2)), "b": np.ones(3)}
    raw = from_iterable([feed] * 4, "the data", TWO, Limit(2), always)
    assert len(inputs_of(raw)["a"]) == 2


def test_labels_without_a_batch_axis_in_the_inputs_are_joined() -> None:
    feed = {"a": np.ones((1, 2)), "b": np.ones(3), "y": np.int64(5)}
    raw = from_iterable([feed] * 2, "the data", TWO, Limit(), always)
    assert raw.labels is not None
    assert raw.labels.tolist() == [5, 5]


def test_an_input_named_y_is_no_label() -> None:
    specs = [TensorSpec("y", np.dtype("float32"), (None, 2))]
    raw = from_iterable([{"y": np.ones((2, 2))}] * 2, "the data", specs, Limit(), always)
    assert inputs_of(raw)["y"].shape == (4, 2)
    assert raw.labels is None


def test_an_empty_feed_has_no_sample() -> None:
    assert firsts(read([{"x": np.ones((0, 2))}, {"x": np.ones((1, 2))}], samples=1)) == [1]


def test_numbers_alone_are_stacked() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), ())]
    raw = from_iterable(
        [{"x": np.float32(1)}, {"x": np.float32(2)}], "the data", specs, Limit(), always
    )
    assert inputs_of(raw)["x"].tolist() == [1, 2]


@pytest.mark.parametrize("source", [[np.ones((1, 2))], lambda: [np.ones((1, 2))]])
def test_arrays_instead_of_feeds_are_refused(source: object) -> None:
    with pytest.raises(DataError, match=r"gives ndarray objects: give \{input name: array\}"):
        read(source)


def test_feed_that_lacks_an_input_or_a_label_is_refused() -> None:
    with pytest.raises(DataError, match="holds 'z', but the model's input is 'x': name the array"):
        read([{"x": np.ones((1, 2))}, {"z": np.ones((1, 2))}])
    with pytest.raises(DataError, match="some feeds lack 'y': give labels in each feed"):
        read([{"x": np.ones((1, 2)), "y": [1]}, {"x": np.ones((1, 2))}])


def test_feeds_that_all_lack_the_input_name_their_arrays() -> None:
    with pytest.raises(DataError, match=r"reader\.py:feeds: holds 'z', but the model's input is"):
        read([{"z": np.ones((1, 2))}])


TEXT = [TensorSpec("ids", np.dtype("int64"), (None, None))]
GRAPH = [
    TensorSpec("nodes", np.dtype("float32"), (None, 3)),
    TensorSpec("edges", np.dtype("int64"), (2, None)),
]


def never(feed: object) -> bool:
    return False


def test_feeds_may_differ_in_shape_and_in_their_number_of_samples() -> None:
    feeds = [{"ids": np.full((n, t), t)} for n, t in ((2, 5), (1, 4), (3, 5))]
    raw = from_iterable(feeds, "the data", TEXT, Limit(5), always)
    assert [group.inputs["ids"].shape for group in raw.groups] == [(4, 5), (1, 4)]
    assert [group.places.tolist() for group in raw.groups] == [[0, 1, 3, 4], [2]]


def test_a_graph_is_one_sample_even_if_its_first_axes_are_equal_by_chance() -> None:
    feeds = [{"nodes": np.ones((n, 3)), "edges": np.ones((2, 4))} for n in (2, 5, 2)]
    raw = from_iterable(feeds, "the data", GRAPH, Limit(), never)
    assert [group.inputs["nodes"].shape for group in raw.groups] == [(2, 2, 3), (1, 5, 3)]
    assert [group.inputs["edges"].shape for group in raw.groups] == [(2, 2, 4), (1, 2, 4)]
    assert len(from_iterable(feeds, "the data", GRAPH, Limit(2), never).groups) == 2


def test_a_feed_whose_rows_the_model_mixes_is_one_sample() -> None:
    feeds = [{"ids": np.full((t, 1), t)} for t in (1, 4, 6, 4)]
    raw = from_iterable(feeds, "the data", TEXT, Limit(3), never)
    assert [group.inputs["ids"].shape for group in raw.groups] == [(1, 1, 1), (1, 4, 1), (1, 6, 1)]


def test_labels_are_those_of_rows_or_of_whole_feeds() -> None:
    feeds = [{"ids": np.full((2, 5), 1), "y": np.array([7, 8])}]
    rows, whole = (
        from_iterable(feeds, "the data", TEXT, Limit(), are_samples).labels
        for are_samples in (always, never)
    )
    assert rows is not None
    assert whole is not None
    assert (rows.tolist(), whole.tolist()) == ([7, 8], [[7, 8]])


def test_labels_of_a_sample_may_be_an_array_of_any_length() -> None:
    feeds = [{"ids": np.ones((1, t)), "y": np.full(t, t)} for t in (3, 1, 2)]
    raw = from_iterable(feeds, "the data", TEXT, Limit(2), always)
    assert raw.labels is not None
    assert [labels.tolist() for labels in raw.labels] == [[3, 3, 3], [1]]


def test_labels_that_do_not_match_the_rows_are_refused() -> None:
    feeds = [{"ids": np.ones((2, 5)), "y": np.arange(3)}]
    with pytest.raises(DataError, match="a feed of 2 samples has 3 labels: give one for each"):
        from_iterable(feeds, "the data", TEXT, Limit(), always)


def test_a_sample_may_come_without_the_axis_of_samples() -> None:
    raw = from_iterable([{"ids": [1, 2, 3]}, {"ids": [[4, 5, 6]]}], "it", TEXT, Limit(), always)
    assert inputs_of(raw)["ids"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_reading_stops_where_memory_is_full_with_a_note() -> None:
    def endless() -> Iterator[dict[str, np.ndarray]]:
        while True:
            yield {"ids": np.ones((2, 5))}

    raw = from_iterable(endless, "it", TEXT, Limit(memory=250), always)
    assert inputs_of(raw)["ids"].shape == (6, 5)
    assert raw.notes == (
        "it: the first 6 samples are used, since more would take over 250 bytes of memory: "
        "--memory allows more.",
    )


def test_a_reader_that_exits_is_quoted() -> None:
    def leaving() -> Iterator[dict[str, np.ndarray]]:
        yield {"x": np.ones((1, 2))}
        raise SystemExit("no licence")

    with pytest.raises(DataError, match=r"feeds: failed: SystemExit: no licence"):
        read(leaving)


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
    samples = load_samples(data, SPECS)
    assert inputs_of(samples)["x"].dtype == np.float32
    assert inputs_of(samples)["x"].tolist() == [[0, 0], [1, 1]]
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1]
    assert samples.source == f"{path}:feeds"


def test_file_that_fails_to_import_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text("raise RuntimeError('no camera')\n")
    with pytest.raises(DataError, match=r"failing\.py:feeds' cannot be imported: RuntimeError: no"):
        load_samples(Data(f"{path}:feeds"), SPECS)


def test_what_a_reader_prints_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def loud() -> Iterator[dict[str, np.ndarray]]:
        print("reading")
        yield from feeds(2)

    assert len(read(loud).groups) == 1
    assert capsys.readouterr() == ("", "reading\n")
