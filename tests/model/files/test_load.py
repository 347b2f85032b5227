"""Reading models: what is refused and why, and the normal form of what is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from external_models import ROWS, restate, saved, table_net
from graphs import conv_net, mlp, model_of, node, random
from onnx import AttributeProto, helper, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model import data_files, load, name_of, serialize, size_in_bytes
from onnx_evoq.model.graph import tensors_in
from onnx_evoq.model.tensors import array_of, is_external
from onnx_evoq.setup import open_session

Save = Callable[..., Path]


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


def test_external_data_are_read_or_stay_where_they_are(tmp_path: Path) -> None:
    assert serialize(load(saved(mlp(), tmp_path / "m.onnx", "1.bin"))) == serialize(load(mlp()))
    loaded = load(saved(table_net(), tmp_path / "t.onnx", "2.bin"))
    assert [is_external(tensor) for tensor in loaded.graph.initializer] == [True, False]
    np.testing.assert_array_equal(array_of(loaded.graph.initializer[0]), random(ROWS, 64))


def test_a_loaded_model_can_be_loaded_again(tmp_path: Path) -> None:
    loaded = load(saved(table_net(), tmp_path / "m.onnx"))
    assert load(loaded) == loaded


def test_the_size_counts_external_data(tmp_path: Path) -> None:
    path = saved(table_net(), tmp_path / "m.onnx")
    files = path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    assert size_in_bytes(path) == files
    assert size_in_bytes(mlp()) == len(mlp().SerializeToString())
    loaded = load(path)
    assert size_in_bytes(loaded) == loaded.ByteSize() + ROWS * 64 * 4


def test_data_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = saved(mlp(), tmp_path / "m.onnx")
    (tmp_path / "weights.bin").write_bytes(bytes(20))
    with pytest.raises(ModelError, match=r"m\.onnx: .*'weights\.bin' ends before tensor 'first'"):
        load(path)
    restate(path, {"location": "../weights.bin"})
    for read in (load, data_files, size_in_bytes):
        with pytest.raises(ModelError, match=r"m\.onnx: .*outside the model's folder"):
            read(path)


def into(file: Path, value: np.ndarray) -> onnx.TensorProto:
    """A tensor with its values in a data file of its own."""
    tensor = numpy_helper.from_array(value, file.name)
    file.write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=file.name)
    return tensor


@pytest.mark.parametrize("rows", [3, 300])
def test_external_data_are_found_in_nodes_bodies_and_functions(
    tmp_path: Path, save: Save, rows: int
) -> None:
    shape = node("Constant", [], ["shape"], value=into(tmp_path / "s", np.array([-1, 64])))
    held = node("Constant", [], ["held"], value=into(tmp_path / "h", random(rows, 64)))
    result = [helper.make_tensor_value_info("o", 1, None)]
    index = into(tmp_path / "i", np.arange(9000) % rows)
    weight = into(tmp_path / "b", random(rows, 64, seed=1))
    branch = helper.make_graph(
        [node("Gather", ["b", "i"], ["o"])], "branch", [], result, [weight, index]
    )
    other = helper.make_graph([node("Cast", ["x"], ["o"], to=1)], "other", [], result)
    inside = node("Constant", [], ["f"], value=into(tmp_path / "f", random(1, 64, seed=2)))
    function = helper.make_function(
        "local", "Plus", ["a"], ["c"], [inside, node("Add", ["a", "f"], ["c"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    nodes = [
        shape, held, node("Gather", ["held", "x"], ["g"]), node("Reshape", ["g", "shape"], ["r"]),
        node("If", ["flag"], ["p"], then_branch=branch, else_branch=other),
        node("Plus", ["r"], ["q"], domain="local"),
        node("ReduceMax", ["p"], ["t"], keepdims=0), node("Add", ["q", "t"], ["y"]),
    ]  # fmt: skip
    types = {"x": "int64", "y": "float32"}
    weights = {"flag": np.array(True)}
    model = model_of(nodes, {"x": ["n"]}, {"y": ["n", 64]}, weights, dtypes=types)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    loaded = load(save(model))
    stay = {t.name for t in tensors_in(loaded.graph) if is_external(t)}
    assert stay == ({"held", "branch.b"} if rows == 300 else set())
    x = np.arange(3)
    expected = random(rows, 64)[x] + random(1, 64, seed=2) + random(rows, 64, seed=1).max()
    (found,) = open_session(loaded).run({"x": x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_external_integers_are_integers(tmp_path: Path, save: Save) -> None:
    large, small = into(tmp_path / "large", np.arange(9000)), into(tmp_path / "size", np.array([3]))
    nodes = [node("Gather", ["large", "x"], ["a"]), node("Expand", ["a", "size"], ["y"])]
    model = model_of(nodes, {"x": [1]}, {"y": [3]}, {}, dtype="int64")
    model.graph.initializer.extend([large, small])
    loaded = load(save(model))
    assert [is_external(tensor) for tensor in loaded.graph.initializer] == [True, False]
    assert open_session(loaded).run({"x": np.array([7])})["y"].tolist() == [7, 7, 7]


def test_external_sparse_values_become_dense(tmp_path: Path, save: Save) -> None:
    model = model_of([node("Add", ["x", "s"], ["y"])], {"x": [2, 3]}, {"y": [2, 3]}, {})
    sparse = model.graph.sparse_initializer.add(dims=[2, 3])
    sparse.values.CopyFrom(into(tmp_path / "s", np.float32([4, 7])))
    sparse.indices.CopyFrom(into(tmp_path / "i", np.array([1, 5])))
    (tensor,) = load(save(model)).graph.initializer
    assert array_of(tensor).tolist() == [[0, 4, 0], [0, 0, 7]]


def test_a_file_above_2_gb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ModelError, match=r"m\.onnx: larger than the 2 GB .* external data"):
        load(tmp_path / "m.onnx")


def test_values_that_do_not_fit_are_refused() -> None:
    model = mlp()
    model.graph.initializer[2].raw_data = bytes(3)
    with pytest.raises(ModelError, match=r"memory: tensor 'second' holds 3 bytes, and its shape"):
        load(model)


def test_data_files_are_listed_once_whether_they_exist_or_not(tmp_path: Path) -> None:
    path = saved(mlp(), tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    assert data_files(path) == [tmp_path / "weights.bin"]


def test_a_model_is_named_by_its_file() -> None:
    assert name_of(Path("net.onnx")) == name_of("net.onnx") == "net.onnx"
    assert name_of(mlp()) == "the model in memory"


def test_the_oldest_and_the_newest_opset_are_loaded() -> None:
    for opset in (7, onnx.defs.onnx_opset_version()):
        nodes = [node("Relu", ["x"], ["y"])]
        model = model_of(nodes, {"x": ["n"]}, {"y": ["n"]}, {}, opset=opset)
        assert load(model).opset_import[0].version == opset


def test_a_sparse_initializer_becomes_dense() -> None:
    model = model_of([node("Add", ["x", "s"], ["y"])], {"x": [2, 3]}, {"y": [2, 3]}, {})
    sparse = model.graph.sparse_initializer.add(dims=[2, 3])
    sparse.values.CopyFrom(numpy_helper.from_array(np.float32([4, 7]), "s"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([1, 5]), "places"))
    loaded = load(model)
    assert not loaded.graph.sparse_initializer
    assert [tensor.name for tensor in loaded.graph.initializer] == ["s"]


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


def test_a_node_without_its_body_is_refused_in_a_function_too() -> None:
    function = helper.make_function(
        "local", "Layer", ["a", "b"], ["c"], [node("If", ["b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    model = model_of(
        [node("Layer", ["x", "flag"], ["y"], domain="local")],
        {"x": ["n", 4], "flag": []}, {"y": None}, {}, dtypes={"flag": "bool"},
    )  # fmt: skip
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    with pytest.raises(ModelError, match="not a valid ONNX model: Required attribute"):
        load(model)


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


def test_the_word_of_data_files_is_found_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for start in (0, 2**24 - 4, 2**24, 2**24 + 9):  # within a part of the file, or in two
        content = bytearray(2**24 + 20)
        content[start : start + 8] = b"location"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not an ONNX file"):  # it is read as a model
            data_files(path)
    path.write_bytes(bytes(2**24 + 20))
    assert data_files(path) == []
