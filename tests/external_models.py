"""Models whose values lie in data files, for the tests."""

from pathlib import Path

import numpy as np
import onnx
from graphs import model_of, node, random
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from onnx_evoq.model.tensors.place import Place, put, version_of

ROWS = 300  # of a table of 64 columns: more bytes than what is read at once


def saved(
    model: ModelProto, path: Path, location: str = "weights.bin", size_threshold: int = 0
) -> Path:
    """Save a model whose values are in a data file beside it; `model` keeps its own."""
    copy = ModelProto()
    copy.CopyFrom(model)
    onnx.save_model(
        copy, path, save_as_external_data=True, location=location, size_threshold=size_threshold
    )
    return path


def restate(path: Path, entries: dict[str, str | None], tensor: str | None = None) -> None:
    """Let the tensors in a file, or one of them, state another place; None removes an entry."""
    model = onnx.load(path, load_external_data=False)
    for each in model.graph.initializer:
        if tensor in (None, each.name):
            stated = {entry.key: entry.value for entry in each.external_data} | entries
            del each.external_data[:]
            for key, value in stated.items():
                if value is not None:
                    each.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def moved(tensor: TensorProto, file: Path, offset: int = 0) -> TensorProto:
    """A tensor as `load` gives it, with its values in a data file behind `offset` bytes."""
    file.write_bytes(bytes(offset) + tensor.raw_data)
    external = TensorProto()
    external.CopyFrom(tensor)
    put(external, Place(str(file), offset, len(tensor.raw_data), version_of(file.stat())))
    return external


def table_net(rows: int = ROWS) -> ModelProto:
    """ids (n, 4) -> rows of a table "e" (rows, 64) -> y (n, 4, 8)."""
    nodes = [node("Gather", ["e", "ids"], ["g"]), node("MatMul", ["g", "w"], ["y"])]
    weights = {"e": random(rows, 64), "w": random(64, 8, seed=1)}
    inputs, outputs = {"ids": ["n", 4]}, {"y": ["n", 4, 8]}
    return model_of(nodes, inputs, outputs, weights, dtypes={"ids": "int64"})


def ids(samples: int = 3, rows: int = ROWS) -> NDArray[np.int64]:
    """Inputs of `table_net`."""
    return np.random.default_rng(5).integers(0, rows, (samples, 4))


def array(tensor: TensorProto) -> NDArray[np.generic]:
    """The values of a tensor that holds them."""
    return numpy_helper.to_array(tensor)
