"""Sessions, and models run over batches of samples."""

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, run
from onnx import ModelProto

from onnx_evoq.batch import make_batches
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.model import input_specs, load
from onnx_evoq.score import Session, choose_batch_size, predict


def session_of(model: ModelProto) -> Session:
    return Session(model.SerializeToString(), "the test model")


def chosen_size(model: ModelProto, x: np.ndarray) -> int:
    return choose_batch_size(session_of(model), {"x": x}, input_specs(load(model)))


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_providers_have_short_names(name: str) -> None:
    session = Session(mlp().SerializeToString(), providers=[name])
    assert session.run({"x": random(2, 4)})["logits"].shape == (2, 3)


def test_an_unknown_provider_lists_the_known() -> None:
    with pytest.raises(OptionError, match=r"'abacus' is not available: .*CPUExecutionProvider"):
        Session(mlp().SerializeToString(), providers=["abacus"])


def test_what_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ModelError, match="the test model: ONNX Runtime cannot load it"):
        Session(b"nothing", "the test model")


def test_what_cannot_be_run_names_the_feed() -> None:
    with pytest.raises(ModelError, match=r"the test model: fails on x float32\[2, 5\]"):
        session_of(mlp()).run({"x": random(2, 5)})


def test_a_lack_of_memory_is_no_fault_of_the_model() -> None:
    nodes = [node("ConstantOfShape", ["x"], ["y"])]
    session = session_of(model_of(nodes, {"x": [1]}, {"y": ["n"]}, {}, dtypes={"x": "int64"}))
    with pytest.raises(MemoryError, match=r"running the test model on x int64\[1\]"):
        session.run({"x": np.array([2**50])})


@pytest.mark.parametrize("size", [1, 3, 4, 7, 10])
def test_the_size_of_batches_changes_no_output(size: int) -> None:
    model, x = load(mlp()), random(7, 4, seed=3)
    batches = make_batches({"x": x}, input_specs(model), size)
    parts = [part["logits"] for part in predict(session_of(model), batches)]
    np.testing.assert_allclose(np.concatenate(parts), run(model, {"x": x})["logits"], rtol=1e-5)


def test_a_fixed_batch_is_filled_and_cut_again() -> None:
    model, x = load(mlp(batch=4)), random(7, 4, seed=3)
    assert chosen_size(model, x) == 4
    batches = make_batches({"x": x}, input_specs(model), 4)
    parts = [part["logits"] for part in predict(session_of(model), batches)]
    assert [len(part) for part in parts] == [4, 3]
    np.testing.assert_allclose(np.concatenate(parts), run(mlp(), {"x": x})["logits"], rtol=1e-5)


def test_small_samples_are_fed_in_large_batches() -> None:
    assert chosen_size(mlp(), random(7, 4)) == 512


def test_a_model_that_mixes_samples_is_fed_one_by_one() -> None:
    nodes = [
        node("ReduceMean", ["x"], ["mean"], axes=[0]),
        node("Sub", ["x", "mean"], ["y"]),
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {})
    assert chosen_size(model, random(7, 4)) == 1


def test_a_model_with_a_size_in_its_reshape_is_fed_one_by_one() -> None:
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": [1, 2, 2]}, {"shape": np.array([1, 2, 2])})
    assert chosen_size(model, random(7, 4)) == 1
