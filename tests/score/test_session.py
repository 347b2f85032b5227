"""Sessions: how models are loaded and run, and what their errors say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphs import mlp, model_of, node, random
from onnx import ModelProto, TensorProto, helper

from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.score import Session
from onnx_evoq.score.session import _first_line


def session_of(model: ModelProto) -> Session:
    return Session(model.SerializeToString(), "the test model")


def test_inputs_and_outputs_are_in_the_order_of_the_model() -> None:
    nodes = [node("Relu", ["a"], ["y"]), node("Neg", ["b"], ["x"])]
    session = session_of(model_of(nodes, {"b": ["n"], "a": ["n"]}, {"y": ["n"], "x": ["n"]}, {}))
    assert (session.inputs, session.outputs) == (("b", "a"), ("y", "x"))
    outputs = session.run({"a": np.float32([-1, 2]), "b": np.float32([3, 4])})
    assert {name: values.tolist() for name, values in outputs.items()} == {
        "y": [0, 2],
        "x": [-3, -4],
    }


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_providers_have_short_names(name: str) -> None:
    session = Session(mlp().SerializeToString(), providers=[name])
    assert session.run({"x": random(2, 4)})["logits"].shape == (2, 3)


def test_an_unknown_provider_lists_the_known() -> None:
    with pytest.raises(OptionError, match=r"'abacus' is not available: .*CPUExecutionProvider"):
        Session(mlp().SerializeToString(), providers=["abacus"])


def test_the_options_of_a_session_reach_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[Any] = []

    def create(model: bytes, settings: Any, providers: list[str]) -> Any:
        created.append((settings, providers))
        return SimpleNamespace(get_inputs=list, get_outputs=list)

    monkeypatch.setattr(onnxruntime, "InferenceSession", create)
    Session(b"")
    Session(b"", options={"session.set_denormal_as_zero": "1"}, threads=3)
    (usual, providers), (given, _) = created
    assert providers == ["CPUExecutionProvider"]
    assert (usual.intra_op_num_threads, given.intra_op_num_threads) == (1, 3)
    assert usual.log_severity_level == 4
    assert usual.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert usual.get_session_config_entry("session.disable_quant_qdq") == "1"
    assert given.get_session_config_entry("session.set_denormal_as_zero") == "1"


def test_all_cores_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def create(model: bytes, settings: Any, providers: list[str]) -> Any:
        threads.append(settings.intra_op_num_threads)
        return SimpleNamespace(get_inputs=list, get_outputs=list)

    monkeypatch.setattr(onnxruntime, "InferenceSession", create)
    Session(b"", threads=None)
    assert threads == [0]  # which stands for all


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_initializers_may_stand_beside_the_model(dtype: str) -> None:
    weight, x = random(4, 70, dtype=dtype), random(3, 4, seed=1, dtype=dtype)
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 70]}, {"w": weight}, dtype=dtype)
    expected = session_of(model).run({"x": x})["y"]
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="memory")
    session = Session(model.SerializeToString(), values={"w": weight.copy()})
    np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


def test_a_model_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(
        ModelError, match=r"the test model: ONNX Runtime cannot load it: .*PROTOBUF"
    ):
        Session(b"nothing", "the test model")


def test_a_lack_of_memory_while_loading_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(MemoryError, match="loading the test model"):
        Session(b"", "the test model")


def test_a_run_that_fails_names_the_feed() -> None:
    with pytest.raises(ModelError, match=r"the test model: fails on x float32\[2, 5\]"):
        session_of(mlp()).run({"x": random(2, 5)})


def test_a_lack_of_memory_is_no_fault_of_the_model() -> None:
    nodes = [node("ConstantOfShape", ["x"], ["y"])]
    session = session_of(model_of(nodes, {"x": [1]}, {"y": ["n"]}, {}, dtypes={"x": "int64"}))
    with pytest.raises(MemoryError, match=r"running the test model on x int64\[1\]"):
        session.run({"x": np.array([2**50])})


def test_an_output_that_is_no_tensor_is_named() -> None:
    model = model_of([node("SequenceConstruct", ["x"], ["s"])], {"x": [2]}, {}, {})
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    model.graph.output.append(sequence)
    with pytest.raises(ModelError, match="output 's' is not a tensor: export tensor outputs only"):
        session_of(model).run({"x": random(2)})


@pytest.mark.parametrize(
    ("text", "line"),
    [("\n first\nsecond", "first"), ("", "ValueError"), ("x" * 400, "x" * 300)],
)
def test_messages_have_the_first_line_of_an_error(text: str, line: str) -> None:
    assert _first_line(ValueError(text)) == line


def test_an_output_that_is_an_input_is_what_was_fed() -> None:
    model = model_of([node("Relu", ["a"], ["y"])], {"a": ["n"]}, {"y": ["n"], "a": ["n"]}, {})
    fed = np.float32([-1, 2])
    assert session_of(model).run({"a": fed})["a"] is fed


def custom() -> ModelProto:
    """x (n, 2) -> an operator of a library -> y (n, 2), its negative values."""
    nodes = [helper.make_node("NegPos", ["x"], ["y", "z"], domain="ai.onnx.contrib")]
    model = model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, {})
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    return model


def test_a_library_of_operators_is_known_to_a_session() -> None:
    library = pytest.importorskip("onnxruntime_extensions").get_library_path()
    session = Session(custom().SerializeToString(), custom_ops=[library])
    outputs = session.run({"x": np.float32([[-1, 2]])})
    assert outputs["y"].tolist() == [[-1, 0]]


def test_an_operator_without_its_library_is_said_to_need_one() -> None:
    with pytest.raises(ModelError, match=r"NegPos.*\(--custom-ops takes the library"):
        session_of(custom())


def test_a_library_that_is_none_is_named(tmp_path: Path) -> None:
    library = tmp_path / "ops.so"
    library.write_text("no library")
    with pytest.raises(OptionError, match=r"custom_ops '.*ops.so': ONNX Runtime cannot load it"):
        Session(mlp().SerializeToString(), custom_ops=[library])
