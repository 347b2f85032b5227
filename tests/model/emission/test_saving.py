"""Models are written to one file, or to a file and a data file beside it."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from external_models import ROWS, ids, saved, table_net
from graphs import mlp, rounded, run
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from onnx_evoq.errors import OutputError
from onnx_evoq.model import data_file_of, embed, emit_qdq, in_one_file, load, save, serialize
from onnx_evoq.model.emission.saving import fits_a_file
from onnx_evoq.setup import open_session

FEED = {"ids": ids()}
TABLE_BYTES = ROWS * 64 * 4


def outputs(path: Path) -> NDArray[np.generic]:
    """What ONNX Runtime computes with a file."""
    session = onnx.checker.check_model(str(path)) or open_session(load(path, quantized=True))
    (output,) = session.run(FEED).values()
    return output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def locations(path: Path) -> dict[str, dict[str, str]]:
    """What the tensors in a file state of their places, by name."""
    graph = onnx.load(path, load_external_data=False).graph
    return {t.name: {e.key: e.value for e in t.external_data} for t in graph.initializer}


def test_a_model_is_one_file_unless_it_is_asked_for_two(tmp_path: Path) -> None:
    save(table_net(), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == serialize(table_net())
    assert names(tmp_path) == ["m.onnx"]


@pytest.mark.parametrize("options", [{"beside": True}, {"most_bytes": TABLE_BYTES}])
def test_large_values_are_written_beside(tmp_path: Path, options: dict[str, int]) -> None:
    path, model = tmp_path / "m.onnx", table_net()
    save(model, path, **options)
    assert model == table_net()
    assert names(tmp_path) == ["m.onnx", "m.onnx.data"]
    assert data_file_of(path) == tmp_path / "m.onnx.data"
    assert (tmp_path / "m.onnx.data").stat().st_size == TABLE_BYTES + 64 * 8 * 4
    assert locations(path) == {
        "e": {"location": "m.onnx.data", "offset": "0", "length": str(TABLE_BYTES)},
        "w": {"location": "m.onnx.data", "offset": str(TABLE_BYTES), "length": str(64 * 8 * 4)},
    }
    np.testing.assert_array_equal(outputs(path), run(table_net(), FEED)["y"])
    assert onnx.load(path).graph.node == table_net().graph.node


def test_integers_of_few_bits_are_written_beside(tmp_path: Path) -> None:
    model = load(table_net())
    emitted = emit_qdq(model, rounded(model, 4), narrowest=4)
    save(emitted, tmp_path / "m.onnx", beside=True)
    assert locations(tmp_path / "m.onnx")["e_quantized"]["length"] == str(ROWS * 64 // 2)
    np.testing.assert_array_equal(outputs(tmp_path / "m.onnx"), run(emitted, FEED)["y"])


def test_without_large_values_there_is_no_second_file(tmp_path: Path) -> None:
    save(mlp(), tmp_path / "m.onnx", beside=True)
    assert names(tmp_path) == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_bytes() == serialize(mlp())


@pytest.mark.parametrize("beside", [False, True])
def test_values_come_from_the_data_file_of_the_model(tmp_path: Path, beside: bool) -> None:
    (tmp_path / "from").mkdir()
    model = load(saved(table_net(), tmp_path / "from" / "m.onnx"))
    save(model, tmp_path / "m.onnx", beside=beside)
    assert ("m.onnx.data" in names(tmp_path)) == beside
    np.testing.assert_array_equal(outputs(tmp_path / "m.onnx"), run(table_net(), FEED)["y"])
    assert model.graph.initializer[0].data_location == TensorProto.EXTERNAL


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = load(saved(table_net(), tmp_path / "m.onnx"))
    for folder, each in (("one", model), ("two", table_net())):
        (tmp_path / folder).mkdir()
        save(each, tmp_path / folder / "n.onnx", beside=True)
    for name in ("n.onnx", "n.onnx.data"):
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        assert one == two


def test_older_files_are_replaced(tmp_path: Path) -> None:
    for name in ("m.onnx", "m.onnx.data"):
        (tmp_path / name).write_bytes(b"older")
    save(table_net(), tmp_path / "m.onnx", beside=True)
    np.testing.assert_array_equal(outputs(tmp_path / "m.onnx"), run(table_net(), FEED)["y"])
    assert names(tmp_path) == ["m.onnx", "m.onnx.data"]


def test_the_data_of_the_model_are_never_replaced(tmp_path: Path) -> None:
    path = saved(table_net(), tmp_path / "m.onnx", "m.onnx.data")
    before, model = (tmp_path / "m.onnx.data").read_bytes(), load(path)
    for each, keep in ((model, []), (table_net(), [tmp_path / "m.onnx.data"])):
        with pytest.raises(OutputError, match=r"m\.onnx\.data: holds the values of the model: na"):
            save(each, path, beside=True, keep=keep)
    with pytest.raises(OutputError, match=r"m\.onnx\.data: holds the values of the model"):
        save(model, tmp_path / "m.onnx.data", beside=True)
    assert (tmp_path / "m.onnx.data").read_bytes() == before


def test_a_pipe_gets_one_file_if_one_can_hold_the_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    model = load(saved(mlp(), tmp_path / "m.onnx"))
    save(model, tmp_path / "pipe", beside=True)
    assert os.read(reader, 10**6) == serialize(load(mlp()))
    with pytest.raises(OutputError, match=r"pipe: one file holds no model above 2 GB: name a fil"):
        save(table_net(), tmp_path / "pipe", most_bytes=100)
    os.close(reader)
    assert names(tmp_path) == ["m.onnx", "pipe", "weights.bin"]


def test_what_one_file_holds_is_known_before_it_is_made(tmp_path: Path) -> None:
    model = load(saved(table_net(), tmp_path / "m.onnx"))
    total = TABLE_BYTES + 64 * 8 * 4
    assert [fits_a_file(model, most) for most in (total - 1, total)] == [False, True]
    assert in_one_file(model, "m.onnx", total) == serialize(load(table_net()))
    with pytest.raises(OutputError, match=r"m\.onnx: one file holds no model above 2 GB"):
        in_one_file(model, "m.onnx", total - 1)


def test_values_are_embedded_if_one_file_can_hold_them(tmp_path: Path) -> None:
    model: ModelProto = load(saved(table_net(), tmp_path / "m.onnx"))
    embed(model, most_bytes=TABLE_BYTES)
    assert model.graph.initializer[0].data_location == TensorProto.EXTERNAL
    embed(model)
    assert serialize(model) == serialize(load(table_net()))
