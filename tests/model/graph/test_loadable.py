"""What ONNX Runtime loads computes the same, wherever the values are."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from external_models import ROWS, ids, saved, table_net
from graphs import mlp, model_of, node, random, rounded, run
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from onnx_evoq.errors import StorageError
from onnx_evoq.model import (
    Network,
    as_network,
    emit_qdq,
    load,
    replace_weights,
    serialize,
    with_codes,
)
from onnx_evoq.model.graph.loadable import Loadable, to_run
from onnx_evoq.score import Session

MODEL = load(mlp())
OTHER = {"first": random(4, 6, seed=5), "first_bias": random(6, seed=6)}
X = random(3, 4)


def outputs(loaded: Loadable, feed: dict[str, NDArray[np.generic]]) -> NDArray[np.generic]:
    session = Session(loaded.content, values=loaded.values, folder=loaded.folder)
    (output,) = session.run(feed).values()
    return output


def names_of(loaded: Loadable) -> set[str]:
    """The names of the data files."""
    graph = ModelProto.FromString(loaded.content).graph
    return {e.value for t in graph.initializer for e in t.external_data if e.key == "location"}


def test_a_model_is_run_from_its_file_alone() -> None:
    with to_run(MODEL) as loaded:
        assert loaded == (serialize(MODEL), {}, "", False)


@pytest.mark.parametrize("few", [0, 64, 10**6])
def test_onnx_runtime_computes_what_the_model_of_the_network_does(
    monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("onnx_evoq.model.graph.network._FEW_VALUES", few)
    network = as_network(MODEL).with_values(OTHER)
    expected = {0: {t.name for t in MODEL.graph.initializer}, 64: {*OTHER}, 10**6: {*OTHER}}
    with to_run(network) as loaded:
        assert set(loaded.values) == expected[few]
        assert len(loaded.content) < len(serialize(MODEL))
        found = outputs(loaded, {"x": X})
    np.testing.assert_array_equal(found, run(replace_weights(MODEL, OTHER), {"x": X})["logits"])


def test_large_initializers_of_floats_stand_beside_the_graph() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Gather", ["a", "at"], ["b"], axis=1),
        node("Mul", ["b", "one"], ["logits"]),
    ]
    at, one = np.arange(65) % 8, np.float32(2)
    weights = {"w": random(4, 65), "at": at, "one": one}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"logits": ["n", 65]}, weights))
    with to_run(as_network(model)) as loaded:
        assert list(loaded.values) == ["w"]
        np.testing.assert_array_equal(outputs(loaded, {"x": X}), run(model, {"x": X})["logits"])


@pytest.mark.parametrize("as_a_network", [False, True])
def test_values_in_a_data_file_stay_there(tmp_path: Path, as_a_network: bool) -> None:
    model = load(saved(table_net(), tmp_path / "m.onnx"))
    with to_run(as_network(model) if as_a_network else model) as loaded:
        assert "e" not in loaded.values
        assert names_of(loaded) - {"memory"} == {str(tmp_path / "weights.bin").lstrip("/")}
        found = outputs(loaded, {"ids": ids()})
    np.testing.assert_array_equal(found, run(table_net(), {"ids": ids()})["y"])
    assert len(loaded.content) < 2**13


def test_links_to_data_files_are_followed(tmp_path: Path) -> None:
    saved(table_net(), tmp_path / "m.onnx")
    (tmp_path / "weights.bin").rename(tmp_path / "blob")
    (tmp_path / "weights.bin").symlink_to("blob")
    with to_run(load(tmp_path / "m.onnx")) as loaded:
        assert names_of(loaded) - {"memory"} == {str(tmp_path / "blob").lstrip("/")}
        found = outputs(loaded, {"ids": ids()})
    np.testing.assert_array_equal(found, run(table_net(), {"ids": ids()})["y"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind", ["codes", "array", "initializer"])
def test_very_large_values_are_in_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = load(model_of(
        [node("MatMul", ["x", "first"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 70]},
        {"first": random(4, 70, dtype=dtype)}, dtype=dtype,
    ))  # fmt: skip
    codes = rounded(model, 3, channel=True)
    values = {"codes": codes, "array": {"first": codes["first"].values}, "initializer": {}}
    network: Network = as_network(model).with_values(values[kind])
    with to_run(network, in_memory=0) as loaded:
        (file,) = tmp_path.iterdir()
        assert (names_of(loaded), loaded.values) == ({str(file).lstrip("/")}, {})
        found = outputs(loaded, {"x": X.astype(dtype)})
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(found, run(network, {"x": X.astype(dtype)})["y"])


def test_integers_that_no_graph_holds_are_in_a_temporary_file() -> None:
    model = load(table_net(3000))
    emitted = emit_qdq(model, {"e": rounded(model, 4)["e"]}, narrowest=2)
    feed = {"ids": ids(rows=3000)}
    expected = run(emitted, feed)["y"]
    for network in (emitted, as_network(emitted)):
        with to_run(network, in_graph=2**16) as loaded:
            graph = ModelProto.FromString(loaded.content).graph
            (codes,) = (t for t in graph.initializer if t.name == "e_quantized")
            assert codes.data_type == TensorProto.INT4
            assert codes.data_location == TensorProto.EXTERNAL
            np.testing.assert_array_equal(outputs(loaded, feed), expected)


def test_a_run_that_makes_very_many_floats_is_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(table_net())
    emitted = emit_qdq(model, {"e": rounded(model, 4)["e"]}, narrowest=2)
    with to_run(as_network(emitted)) as loaded:
        assert not loaded.alone
    monkeypatch.setattr("onnx_evoq.model.graph.loadable._MOST_FLOATS", ROWS * 64 * 4 - 1)
    for network, alone in ((as_network(emitted), True), (as_network(model), False)):
        with to_run(network) as loaded:
            assert loaded.alone == alone


def test_a_folder_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    network = with_codes(MODEL, rounded(MODEL, 3))
    with pytest.raises(StorageError, match="no room for"), to_run(network, in_memory=0):
        pass
