"""The text of a header: its tables, its comments, and that compilers take it."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from graphs import conv_net, fire, flat, mlp, model_of, node, random, recurrent, rounded
from integer_nets import conv_task, quantized_conv_net
from onnx import ModelProto, TensorProto, helper

from onnx_evoq.activations import integer_model
from onnx_evoq.errors import ModelError
from onnx_evoq.model import c_header_of, emit_qdq, load
from onnx_evoq.setup import nearest_of

COMPILERS = {
    "c": ["gcc", "-std=c99", "-x", "c"],
    "c++": ["g++", "-std=c++11", "-x", "c++"],
}


def qdq(model: ModelProto, *, keep: str = "") -> ModelProto:
    """The model with integer weights and float activations."""
    loaded = load(model)
    quantized = rounded(loaded, 4)
    return emit_qdq(loaded, {n: q for n, q in quantized.items() if n != keep}, narrowest=8)


def integer_net(bits: int = 8) -> ModelProto:
    task, activations = conv_task(), quantized_conv_net(bits)
    quantized = nearest_of(task.weights, task.bits, "channel", "pow2")
    return integer_model(activations, activations.network, quantized)


def header(model: ModelProto) -> str:
    return c_header_of(model, "net")


def entries(text: str, table: str) -> list[str]:
    """The entries of a table, on one line each."""
    (body,) = re.findall(rf"{table}\[\d+\] = {{\n(.*?)\n}};", text, re.DOTALL)
    return [" ".join(entry.split()) for entry in re.split(r",\n    (?={)", body.strip())]


def values(text: str, name: str) -> list[float]:
    """The values of an array."""
    (body,) = re.findall(rf"{name}\[\d+\] = {{(.*?)}};", text, re.DOTALL)
    return [float(value.strip().rstrip("f")) for value in body.split(",")]


# The tables


def test_a_layer_is_an_entry_that_points_to_its_tensors_and_arrays() -> None:
    text = header(integer_net())
    stem, branch, head = entries(text, "evoq_layer evoq_layers")
    assert stem == (
        '{"stem", EVOQ_CONV, &evoq_tensors[0], &evoq_tensors[1], stem_codes, 4, 4, {6, 3, 3, 3}, '
        "6, 6, stem_frac_bits, NULL, stem_shift, stem_bias, NULL, 1, 0, {1, 1}, {1, 1}, "
        "{1, 1, 1, 1}, {0, 0}}"
    )
    assert branch.startswith('{"branch", EVOQ_CONV, &evoq_tensors[1], ')
    assert head.startswith('{"head", EVOQ_GEMM, ')
    assert "head_frac_bits, NULL, NULL, head_bias, NULL, 1, 0, {0}" in head  # gives floats
    assert "#define EVOQ_LAYER_COUNT 3\n" in text
    tensors = entries(text, "evoq_tensor evoq_tensors")
    assert f"#define EVOQ_TENSOR_COUNT {len(tensors)}\n" in text
    assert tensors[0].startswith('{"x", 4, {0, 3, 8, 8}, 8, 0, ')
    assert tensors[0].endswith(", 128, 0, 255}")
    assert tensors[-1] == '{"logits", 2, {0, 5}, 0, 0, EVOQ_NO_FRAC_BITS, 0.00000000e+00f, 0, 0, 0}'


def test_a_shift_is_what_the_formula_says() -> None:
    text = header(integer_net())
    (frac_in, frac_out) = (
        int(entry.rpartition("}, 8, 0, ")[2].split(",")[0])
        for entry in entries(text, "evoq_tensor evoq_tensors")[:2]
    )
    expected = [frac_in + own - frac_out for own in values(text, "stem_frac_bits")]
    assert values(text, "stem_shift") == expected


def test_codes_of_fewer_or_more_bits_have_their_limits_and_type() -> None:
    for bits, middle in ((6, 8), (10, 16)):
        tensors = entries(header(integer_net(bits)), "evoq_tensor evoq_tensors")
        (relu,) = [each for each in tensors if each.startswith('{"c", ')]
        assert f", {middle}, 0, " in relu
        assert relu.endswith(f", 0, 0, {2**bits - 1}}}")


def one_gemm(
    steps: list[float], output: float = 0.5, codes: list[list[int]] | None = None
) -> ModelProto:
    """x (1, 2) -> Gemm -> y (1, 2), all in codes; the input has steps of 1."""
    nodes = [
        node("QuantizeLinear", ["x", "one", "zero"], ["x_codes"]),
        node("DequantizeLinear", ["x_codes", "one", "zero"], ["x_again"]),
        node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"], axis=1),
        node("Gemm", ["x_again", "w"], ["a"], "only"),
        node("QuantizeLinear", ["a", "output", "zero"], ["y_codes"]),
        node("DequantizeLinear", ["y_codes", "output", "zero"], ["y"]),
    ]
    weights = {
        "one": np.float32(1), "zero": np.uint8(0), "output": np.float32(output),
        "codes": np.array(codes or [[1, 2], [3, 4]], np.int8),
        "steps": np.array(steps, np.float32), "zeros": np.zeros(2, np.int8),
    }  # fmt: skip
    return model_of(nodes, {"x": [1, 2]}, {"y": None}, weights, opset=13)


def test_shifts_stay_within_what_64_bits_can_be_shifted_by() -> None:
    assert values(header(one_gemm([0.25, 2.0**-100])), "only_shift") == [1, 62]
    assert values(header(one_gemm([1, 2.0**29])), "only_shift") == [-1, -30]
    text = header(one_gemm([0.25, 2.0**30]))
    assert "only_frac_bits, NULL, NULL, NULL, NULL" in " ".join(text.split())


def test_steps_that_are_no_powers_of_two_are_floats() -> None:
    text = header(one_gemm([0.3, 0.25]))
    assert np.array_equal(np.float32(values(text, "only_scale")), np.float32([0.3, 0.25]))
    assert "NULL, only_scale, NULL, NULL, NULL" in " ".join(text.split())
    assert "only_shift" not in text
    text = header(one_gemm([0.5, 0.25], output=0.3))
    assert "only_frac_bits, NULL, NULL, NULL, NULL" in " ".join(text.split())
    tensors = entries(text, "evoq_tensor evoq_tensors")
    assert ", 8, 0, EVOQ_NO_FRAC_BITS, 3.00000012e-01f, 0, 0, 255}" in tensors[1]


@pytest.mark.parametrize(
    ("codes", "bits"),
    [
        ([[0, 0], [0, 0]], 1),
        ([[-8, 7], [0, 0]], 4),
        ([[8, 0], [0, 0]], 5),
        ([[-128, 1], [0, 0]], 8),
    ],
)
def test_the_bits_of_codes_hold_all_of_them(codes: list[list[int]], bits: int) -> None:
    text = header(one_gemm([1, 1], codes=codes))
    assert f"only_codes, {bits}, 2, {{2, 2}}" in text


# The comments


def test_nodes_that_are_in_no_table_are_listed() -> None:
    text = header(qdq(conv_net(), keep="w2"))
    (listed,) = re.findall(r"not in the table.*?\*/", text, re.DOTALL)
    assert [line[5:] for line in listed.splitlines()[2:-1]] == [
        "BatchNormalization(a, scale, offset, mean, var) -> b",
        "Relu(b) -> c",
        "Conv(c, w2, b2) -> d  (its weight has no codes)",
        "Add(c, d) -> e",
        "GlobalAveragePool(e) -> f",
        "Flatten(f) -> g",
    ]


def test_a_bias_that_is_in_the_table_is_not_listed() -> None:
    text = header(qdq(mlp()))
    assert "Relu(b) -> c" in text
    assert "Add(" not in text
    assert values(text, "layer1_bias_float") == pytest.approx(random(6, seed=2).tolist())


def test_what_clips_codes_or_casts_a_weight_is_not_listed() -> None:
    text = header(integer_net(6))
    for name in ("Clip(", "Cast(", "Linear("):
        assert name not in text
    assert "Add(c, d) -> e" in text
    half = header(qdq(conv_net(dtype="float16")))
    assert "Relu(b) -> c" in half
    assert "Cast(" not in half


def test_weights_of_other_operators_are_listed() -> None:
    text = header(qdq(recurrent()))
    assert "GRU(a, w, r) -> b" in text
    assert "Gather(table, x) -> rows" in text
    assert "#define EVOQ_LAYER_COUNT 1\n" in text


def test_without_other_nodes_there_is_no_list() -> None:
    assert "not in the table" not in header(one_gemm([1, 1]))


# The whole text


def test_the_same_model_gives_the_same_text_and_another_one_another_guard() -> None:
    text = header(one_gemm([1, 1]))
    assert text == header(one_gemm([1, 1]))
    (guard,) = re.findall(r"#ifndef (\w+)", text)
    assert text.count(guard) == 3
    assert guard not in header(one_gemm([1, 0.5]))
    assert text.isascii()


def test_arrays_of_layers_with_similar_names_differ() -> None:
    """Layer fc has a float bias, and layer fc_float a whole one."""
    nodes = [
        node("QuantizeLinear", ["x", "one", "zero"], ["x_codes"]),
        node("DequantizeLinear", ["x_codes", "one", "zero"], ["x_again"]),
        node("DequantizeLinear", ["codes", "one", "none"], ["w"]),
        node("Gemm", ["x_again", "w", "between"], ["y"], "fc"),
        node("Gemm", ["x_again", "w", "whole"], ["z"], "fc_float"),
    ]
    weights = {
        "one": np.float32(1), "zero": np.uint8(0), "codes": np.ones((2, 2), np.int8),
        "none": np.int8(0), "between": np.float32([0.5, 1]), "whole": np.float32([3, 4]),
    }  # fmt: skip
    text = header(model_of(nodes, {"x": [1, 2]}, {"y": None, "z": None}, weights, opset=13))
    arrays = re.findall(r"const \w+ (\w+)\[", text)
    assert len(arrays) == len(set(arrays)) == 8
    assert values(text, "fc_bias_float") == [0.5, 1]
    assert values(text, "fc_float_bias") == [3, 4]


def test_a_relu_that_is_part_of_a_layer_is_not_listed() -> None:
    model = one_gemm([1, 1])
    model.graph.node[3].output[0] = "before"
    model.graph.node.insert(4, node("Relu", ["before"], ["a"]))
    text = header(model)
    assert "not in the table" not in text
    assert entries(text, "evoq_tensor evoq_tensors")[1].startswith('{"y", 2, {1, 2}, 8, 0, ')
    assert entries(text, "evoq_layer evoq_layers")[0].startswith(
        '{"only", EVOQ_GEMM, &evoq_tensors[0], &evoq_tensors[1], '
    )


def branching() -> ModelProto:
    """x -> If -> y, both bodies of which read the weight w."""
    y = helper.make_tensor_value_info("o", TensorProto.FLOAT, [2, 4])
    body = helper.make_graph([node("MatMul", ["x", "w"], ["o"])], "body", [], [y])
    choice = node("If", ["flag"], ["y"], then_branch=body, else_branch=body)
    inputs = {"x": [2, 5], "flag": []}
    return model_of([choice], inputs, {"y": [2, 4]}, {"w": random(5, 4)}, dtypes={"flag": "bool"})


def test_a_model_without_layers_for_a_header_has_the_reason() -> None:
    stacked = model_of(
        [node("MatMul", ["x", "w"], ["y"], "only")],
        {"x": [2, 3, 5]}, {"y": None}, {"w": random(2, 5, 4)},
    )  # fmt: skip
    with pytest.raises(
        ModelError,
        match=r"net: no layer can be in a C header, MatMul 'only' with weight 'w' because its "
        "weight has 3 axes, and not 2: use the qdq format instead.",
    ):
        header(qdq(stacked))
    with pytest.raises(ModelError, match=r"'w' because it stands in the body of another node: use"):
        header(qdq(branching()))
    table = model_of(
        [node("Gather", ["w", "x"], ["y"])], {"x": [1]}, {"y": None}, {"w": random(9, 4)},
        dtypes={"x": "int64"},
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"'w' because a header holds Conv, .* and MatMul alone: "):
        header(qdq(table))


def test_a_model_without_integer_weights_is_refused() -> None:
    with pytest.raises(ModelError, match=r"net: no Conv, .* has integer weights: give a model"):
        header(load(conv_net()))


def odd_names() -> ModelProto:
    """Two layers whose names mean something else in C."""
    nodes = [
        node("Conv", ["/*x", "w1"], ['a"\\*/??/'], "int"),
        node("Conv", ['a"\\*/??/', "w2"], ["b\n"], "1/*int"),
        node("Relu", ["b\n"], ["*/é"]),
    ]
    weights = {"w1": random(2, 3, 1, 1), "w2": random(2, 2, 1, 1)}
    return model_of(nodes, {"/*x": ["n", 3, 4, 4]}, {"*/é": None}, weights)


@pytest.mark.parametrize("language", COMPILERS)
def test_compilers_take_it_without_a_warning(language: str, tmp_path: Path) -> None:
    command = COMPILERS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    models = [integer_net(), one_gemm([0.3, 1]), *map(qdq, (odd_names(), flat(), fire()))]
    for index, model in enumerate(models):
        text = header(model)
        (tmp_path / f"net{index}.h").write_text(text)
        source = tmp_path / "main"  # the same header twice, and its tables used
        used = "sizeof evoq_layers / sizeof *evoq_layers == EVOQ_LAYER_COUNT"
        used += " && sizeof evoq_tensors / sizeof *evoq_tensors == EVOQ_TENSOR_COUNT"
        source.write_text(
            f'#include "net{index}.h"\n#include "net{index}.h"\n'
            f"int main(void) {{ return !({used} && evoq_layers[0].input->name[0]); }}\n"
        )
        warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
        done = subprocess.run(
            [*command, *warnings, str(source)], capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
