"""Activations get grids that fit what they hold, and some nodes stay float."""

import numpy as np
import pytest
from graphs import conv_net, flat, mlp, model_of, node, random, recurrent, run, task_of
from integer_nets import pooled, quantized_conv_net
from onnx import helper, numpy_helper

from onnx_evoq.activations import quantize_activations
from onnx_evoq.errors import ModelError
from onnx_evoq.model import fold_batch_norm, load


def test_grids_have_the_bits_that_are_asked_for_but_at_the_ends() -> None:
    activations = quantized_conv_net(4)
    bits = {tensor.name: activations.grids[tensor.scale].bits for tensor in activations.tensors}
    assert bits == {"x": 8, "c": 4, "d": 4, "e": 4, "f": 4, "g": 4}


def test_what_is_never_negative_is_unsigned() -> None:
    activations = quantized_conv_net()
    signed = {t.name: activations.grids[t.scale].signed for t in activations.tensors}
    assert signed["c"] is False
    assert signed["x"] is signed["d"] is True


def test_scales_are_powers_of_two_unless_others_are_asked_for() -> None:
    task = task_of(load(mlp()), random(64, 4), random(16, 4, seed=1))
    for scale, whole in (("pow2", True), ("float", False)):
        grids = quantize_activations(task, 6, scale).grids.values()  # type: ignore[arg-type]
        assert all(float(np.log2(grid.scale)).is_integer() for grid in grids) is whole


def test_the_limit_of_a_clip_holds_with_any_scale() -> None:
    x = 4 * random(64, 2, 4, 4)
    task = task_of(load(pooled()), x, x)
    activations = quantize_activations(task, 8)
    grids = {tensor.name: activations.grids[tensor.scale] for tensor in activations.tensors}
    assert grids["b"].highest == 6
    assert grids["b"].scale * grids["b"].high == 6
    floats, simulated = (run(model, {"x": x})["y"] for model in (task.model, activations.simulated))
    assert np.abs(floats - simulated).max() < 0.3


def test_weights_that_are_kept_are_read_by_float_nodes() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(model, random(16, 3, 8, 8), random(8, 3, 8, 8, seed=1), keep=["w2"])
    activations = quantize_activations(task, 8)
    assert activations.float_nodes == ("branch",)


def test_what_adds_the_bias_of_a_matmul_stays_float() -> None:
    task = task_of(load(mlp()), random(64, 4), random(16, 4, seed=1))
    activations = quantize_activations(task, 8)
    adds = {node.name: node.op_type for node in activations.float_model.graph.node}
    assert [adds[name] for name in activations.float_nodes] == ["Add"]


def test_a_model_of_float16_is_refused() -> None:
    model = load(conv_net(dtype="float16"))
    task = task_of(model, random(8, 3, 8, 8, dtype="float16"), random(8, 3, 8, 8, dtype="float16"))
    with pytest.raises(ModelError, match="is of float16: export the model as float32"):
        quantize_activations(task, 8)


def test_a_table_is_read_by_a_float_node() -> None:
    model, x = load(recurrent()), np.zeros((8, 5), np.int64)
    activations = quantize_activations(task_of(model, x, x), 12)
    kinds = {node.name: node.op_type for node in activations.float_model.graph.node}
    assert "Gather" in {kinds[name] for name in activations.float_nodes}


def test_what_a_matmul_reads_is_quantized_though_nothing_behind_it_is() -> None:
    x = random(32, 3, 2, 2)
    activations = quantize_activations(task_of(load(flat()), x, x), 4)
    assert activations.grids[next(t.scale for t in activations.tensors if t.name == "c")].bits == 4


@pytest.mark.parametrize("bits", [9, 16])
def test_more_than_8_bits_are_held_in_16(bits: int) -> None:
    x = random(32, 4)
    task = task_of(load(mlp()), x, x)
    fine, usual = (quantize_activations(task, each) for each in (bits, 8))
    floats = run(task.model, {"x": x})["logits"]
    errors = [
        np.abs(run(each.simulated, {"x": x})["logits"] - floats).max() for each in (fine, usual)
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("mask", [-np.inf, -1e9, -3.4e38])
def test_masks_stay_float(mask: float) -> None:
    hidden = np.where(np.arange(6) < 3, 0, mask).astype(np.float32)
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "mask"], ["b"]),
        node("Softmax", ["b"], ["c"]),
        node("MatMul", ["c", "v"], ["y"]),
    ]
    weights = {"w": random(4, 6), "mask": hidden, "v": random(6, 3, seed=1)}
    x = random(32, 4)
    task = task_of(load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)), x, x)
    activations = quantize_activations(task, 8)
    floats, found = (run(each, {"x": x})["y"] for each in (task.model, activations.simulated))
    assert np.abs(found - floats).max() < 0.05 * np.abs(floats).max()


def test_a_model_without_integer_operators_is_refused() -> None:
    model = load(model_of([node("Softmax", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {}))
    x = random(8, 4)
    with pytest.raises(ModelError, match="no operator of the model takes integers"):
        quantize_activations(task_of(model, x, x), 8)


def test_layers_in_bodies_are_named_as_the_reason() -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [node("MatMul", ["x", weight], [f"{name}_out"])], name, [],
            [helper.make_tensor_value_info(f"{name}_out", 1, ["n", 3])],
            [numpy_helper.from_array(random(4, 3, seed=len(name)), weight)],
        )
        for name, weight in (("then", "w"), ("else", "v"))
    }  # fmt: skip
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Less", ["zero", "most"], ["flag"]),
        node("If", ["flag"], ["y"], **branches),
    ]
    weights = {"zero": np.zeros((), np.float32)}
    model, x = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)), random(8, 4)
    with pytest.raises(ModelError, match="as 'MatMul' and the like stand in the bodies of others"):
        quantize_activations(task_of(model, x, x), 8)


def test_channels_that_are_all_but_dead_make_no_activation_wild() -> None:
    weight = random(4, 6, seed=1)
    weight[:, 1:] *= 1e-9
    nodes = [
        node("Gemm", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "v"], ["y"]),
    ]
    weights = {"w": weight, "v": random(6, 3, seed=2)}
    x = random(64, 4)
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights))
    assert quantize_activations(task_of(model, x, x), 8).float_nodes == ()
