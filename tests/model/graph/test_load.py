"""Reading models: what is refused and why, and the normal form of what is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, model_of, node, random
from onnx import AttributeProto, helper, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model import data_files, load, name_of, serialize, size_in_bytes

Save = Callable[..., Path]


def external(folder: Path, model: onnx.ModelProto | None = None) -> Path:
    """A model whose weights lie in weights.bin beside it."""
    path = folder / "external.onnx"
    onnx.save_model(
        model or mlp(), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path


def relocate(path: Path, location: str) -> None:
    """Let every tensor name another data file."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_a_file_that_is_no_protobuf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("these are not the weights you are looking for")
    with pytest.raises(ModelError, match=r"text\.onnx: not an ONNX file.*again"):
        load(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(ModelError, match=r"empty\.onnx: not an ONNX file"):
        load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(save: Save, share: float) -> None:
    path = save(conv_net())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"model\.onnx: not an ONNX file, or a truncated one"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.onnx: cannot be read: No such file"):
        load(tmp_path / "no.onnx")


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "onnx.brevitas"])
def test_a_model_in_qonnx_is_refused(domain: str) -> None:
    nodes = [
        node("Quant", ["w", "s", "z", "b"], ["q"], domain=domain, signed=1, narrow=0),
        node("MatMul", ["x", "q"], ["y"]),
    ]
    numbers = {name: np.array(1, np.float32) for name in "szb"}
    weights = {"w": random(4, 3), **numbers}
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)
    model.opset_import.append(helper.make_opsetid(domain, 1))
    with pytest.raises(
        ModelError, match=r"already quantized \(it holds Quant nodes\): give the float"
    ):
        load(model)
    with pytest.raises(
        ModelError, match=r"ONNX Runtime cannot run QONNX .* a file of the qdq format"
    ):
        load(model, quantized=True)


def test_external_data_are_read(tmp_path: Path) -> None:
    loaded = load(external(tmp_path))
    assert all(not tensor.external_data for tensor in loaded.graph.initializer)
    assert serialize(loaded) == serialize(load(mlp()))


def test_the_size_counts_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    files = path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    assert size_in_bytes(path) == files
    assert size_in_bytes(mlp()) == len(mlp().SerializeToString())


def test_missing_external_data_are_named(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"'weights\.bin' of tensor 'first' is missing: put it"):
        load(path)


def test_truncated_external_data_are_named(tmp_path: Path) -> None:
    path = external(tmp_path)
    content = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(content[:20])
    with pytest.raises(ModelError, match=r"weights\.bin' ends before tensor 'first' does"):
        load(path)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin"])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    path = external(folder)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    relocate(path, location)
    with pytest.raises(ModelError, match="outside the model's folder: move the file"):
        load(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    path = external(folder)
    (folder / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(ModelError, match="outside the model's folder"):
        load(path)


@pytest.mark.parametrize(("key", "value"), [("offset", "first"), ("length", "-4")])
def test_external_data_at_no_place_are_refused(tmp_path: Path, key: str, value: str) -> None:
    path = external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = value if entry.key == key else entry.value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"'first' names no place in 'weights\.bin'"):
        load(path)


def test_external_data_up_to_the_last_byte_are_read(tmp_path: Path) -> None:
    path = external(tmp_path)
    content = (tmp_path / "weights.bin").read_bytes()
    last = onnx.load(path, load_external_data=False).graph.initializer[-1]
    end = sum(int(e.value) for e in last.external_data if e.key in ("offset", "length"))
    (tmp_path / "weights.bin").write_bytes(content[:end])
    assert serialize(load(path)) == serialize(load(mlp()))
    (tmp_path / "weights.bin").write_bytes(content[: end - 1])
    with pytest.raises(ModelError, match="ends before tensor"):
        load(path)


def test_data_files_are_listed_once_whether_they_exist_or_not(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    assert data_files(path) == [tmp_path / "weights.bin"]


def test_a_model_is_named_by_its_file() -> None:
    assert name_of(Path("net.onnx")) == name_of("net.onnx") == "net.onnx"
    assert name_of(mlp()) == "the model in memory"


def test_a_serialized_model_can_be_read_again() -> None:
    assert onnx.ModelProto.FromString(serialize(mlp())) == mlp()


def test_the_oldest_and_the_newest_opset_are_loaded() -> None:
    for opset in (7, onnx.defs.onnx_opset_version()):
        nodes = [node("Relu", ["x"], ["y"])]
        model = model_of(nodes, {"x": ["n"]}, {"y": ["n"]}, {}, opset=opset)
        assert load(model).opset_import[0].version == opset


@pytest.mark.parametrize(
    "indices", [np.array([1, 5]), np.array([[0, 1], [1, 2]])], ids=["flat", "per axis"]
)
def test_a_sparse_initializer_becomes_dense(indices: np.ndarray) -> None:
    model = model_of([node("Add", ["x", "s"], ["y"])], {"x": [2, 3]}, {"y": [2, 3]}, {})
    sparse = model.graph.sparse_initializer.add(dims=[2, 3])
    sparse.values.CopyFrom(numpy_helper.from_array(np.float32([4, 7]), "s"))
    sparse.indices.CopyFrom(numpy_helper.from_array(indices, "places"))
    loaded = load(model)
    assert not loaded.graph.sparse_initializer
    (dense,) = loaded.graph.initializer
    assert dense.name == "s"
    assert numpy_helper.to_array(dense).tolist() == [[0, 4, 0], [0, 0, 7]]


def test_constants_that_may_be_weights_become_initializers() -> None:
    value = numpy_helper.from_array(random(4, 3))
    nodes = [node("Constant", [], ["w"], value=value), node("MatMul", ["x", "w"], ["y"])]
    loaded = load(model_of(nodes, {"x": ["n", 4]}, {"y": None}, {}))
    assert [tensor.name for tensor in loaded.graph.initializer] == ["w"]


@pytest.mark.parametrize("opset", [1, 5, 6, 99])
def test_an_unsupported_opset_is_refused(opset: int) -> None:
    model = mlp()
    model.opset_import[0].version = opset
    with pytest.raises(ModelError, match=f"operator set {opset} is not supported: export"):
        load(model)


def test_a_graph_without_nodes_is_refused() -> None:
    model = mlp()
    del model.graph.node[:]
    with pytest.raises(ModelError, match="no nodes"):
        load(model)


def test_an_invalid_graph_is_refused() -> None:
    model = mlp()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match=r"not a valid ONNX model: .*nowhere"):
        load(model)


def quantized() -> onnx.ModelProto:
    nodes = [node("DequantizeLinear", ["codes", "step"], ["w"]), node("MatMul", ["x", "w"], ["y"])]
    weights = {"codes": np.ones((4, 3), np.int8), "step": np.float32(0.5)}
    return model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)


def test_a_model_with_quantized_layers_is_loaded() -> None:
    assert len(load(quantized()).graph.node) == 2


def test_the_model_that_was_given_stays_as_it_is() -> None:
    model = mlp()
    before = model.SerializeToString()
    load(model).graph.node.pop()
    assert model.SerializeToString() == before


def test_initializers_that_are_inputs_are_taken_off_that_list() -> None:
    model = mlp()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    loaded = load(model)
    assert [value.name for value in loaded.graph.input] == ["x"]
    assert loaded.ir_version == 4


def test_functions_are_inlined() -> None:
    function = helper.make_function(
        "local", "Layer", ["a", "b"], ["c"], [node("MatMul", ["a", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    graph = helper.make_graph(
        [node("Layer", ["x", "w"], ["y"], domain="local")],
        "test",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(random(4, 3), "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8)
    assert [n.op_type for n in load(model).graph.node] == ["MatMul"]


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(mlp().SerializeToString().replace(b"MatMul", b"Mat\xfful"))
    with pytest.raises(ModelError, match="a name in it is no text: it is damaged"):
        load(path)


def test_an_attribute_of_a_function_outside_of_one_is_refused() -> None:
    model = mlp()
    entry = model.graph.node[0].attribute.add(name="alpha", type=AttributeProto.FLOAT)
    entry.ref_attr_name = "outer"
    with pytest.raises(ModelError, match="takes an attribute from a function, and is in none"):
        load(model)


def test_a_checker_without_words_is_quoted_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **options: object) -> None:
        raise onnx.checker.ValidationError("")

    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    with pytest.raises(ModelError, match="not a valid ONNX model: the checker of ONNX refuses it"):
        load(mlp())
