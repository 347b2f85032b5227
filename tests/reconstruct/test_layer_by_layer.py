"""Reconstruction of a whole model: smaller errors, compensation, and weights without a layer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import (
    body,
    conv_net,
    interrupting,
    looped,
    mlp,
    model_of,
    node,
    proto,
    random,
    rounded,
    run,
    scoring_set,
    task_of,
)
from onnx import GraphProto, ModelProto, numpy_helper

from onnx_evoq.model import (
    Model,
    fold_batch_norm,
    initializer_values,
    load,
    same,
    with_codes,
)
from onnx_evoq.quantize import EFFORTS, FULL, Effort
from onnx_evoq.reconstruct.layer_by_layer import (
    QuantizedModel,
    ReconstructionInterrupted,
    reconstruct_layers,
)
from onnx_evoq.reconstruct.walk import Walk
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup import Resources, Task, model_value, nearest_of

Inputs = Callable[[int, int], np.ndarray]  # of samples and seed


def correlated(*shape: int) -> Inputs:
    """Draws samples of that shape that lie near a few directions."""
    size = int(np.prod(shape))
    basis = random(max(2, size // 4), size, seed=99)

    def draw(samples: int, seed: int) -> np.ndarray:
        near = random(samples, len(basis), seed=seed) @ basis / np.sqrt(len(basis))
        noise = 0.1 * random(samples, size, seed=seed + 1000)
        return (near + noise + 0.5).reshape(samples, *shape).astype(np.float32)

    return draw


def folded() -> Model:
    return fold_batch_norm(load(conv_net()))[0]


def reconstructed(task: Task) -> QuantizedModel:
    return reconstruct_layers(task, np.random.default_rng(0))


def errors(model: Model, task: Task, unseen: np.ndarray) -> tuple[float, float]:
    """Of nearest rounding and of a reconstruction, on unseen inputs."""
    size = task.search_set.batches[0].size
    found, scoring = reconstructed(task), scoring_set(model, {"x": unseen}, size)
    plain = nearest_of(task.weights, task.bits, task.granularity, task.scale)
    return (
        model_value(with_codes(model, plain), scoring),
        model_value(with_codes(found.model, found.quantized), scoring),
    )


def one_node(kind: str, shape: tuple[int, ...], size: list[Any], **attributes: Any) -> ModelProto:
    nodes = [node(kind, ["x", "w"], ["y"], **attributes)]
    return model_of(nodes, {"x": ["n", *size]}, {"y": None}, {"w": random(*shape)})


def test_the_error_on_unseen_inputs_is_well_below_that_of_nearest_rounding() -> None:
    draw = correlated(3, 8, 8)
    task = task_of(folded(), draw(64, 1), draw(16, 2), bits=3)
    nearest, ours = errors(task.model, task, draw(64, 3))
    assert ours < 0.5 * nearest


SMALL: dict[str, tuple[ModelProto, Inputs]] = {
    "one kernel per group": (
        one_node("Conv", (6, 3, 3, 3), [6, 6, 6], group=2), correlated(6, 6, 6)
    ),
    "depthwise": (
        one_node("Conv", (6, 1, 3, 3), [6, 6, 6], group=6, auto_pad="SAME_UPPER"),
        correlated(6, 6, 6),
    ),
    "strides and dilations": (
        one_node("Conv", (4, 3, 3, 3), [3, 9, 9], strides=[2, 1], dilations=[1, 2], pads=[1] * 4),
        correlated(3, 9, 9),
    ),
    "transposed": (
        one_node("ConvTranspose", (4, 3, 3, 3), [4, 5, 5], strides=[2, 2], pads=[1] * 4),
        correlated(4, 5, 5),
    ),
    "transposed in groups": (
        one_node("ConvTranspose", (4, 3, 2, 2), [4, 5, 5], group=2), correlated(4, 5, 5)
    ),
    "along one axis": (one_node("Conv", (4, 3, 5), [3, 16]  ), correlated(3, 16)),
    "rows of a batch": (one_node("MatMul", (8, 4), [5, 8]), correlated(5, 8)),
    "gemm": (one_node("Gemm", (4, 8), [8], transB=1), correlated(8)),
}  # fmt: skip


@pytest.mark.parametrize(("granularity", "scale"), [("tensor", "pow2"), ("channel", "float")])
@pytest.mark.parametrize("kind", SMALL)
def test_layers_of_all_kinds_gain(kind: str, granularity: str, scale: str) -> None:
    model, draw = load(SMALL[kind][0]), SMALL[kind][1]
    task = task_of(
        model, draw(64, 1), draw(8, 2), bits=3, size=64, granularity=granularity, scale=scale
    )
    nearest, ours = errors(model, task, draw(64, 3))
    assert ours < 0.8 * nearest


def test_a_weight_on_the_left_gains() -> None:
    nodes = [node("MatMul", ["w", "x"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 8, 5]}, {"y": ["n", 4, 5]}, {"w": random(4, 8)}))
    draw = correlated(5, 8)
    inputs = [np.ascontiguousarray(np.swapaxes(draw(64, seed), 1, 2)) for seed in (1, 2, 3)]
    nearest, ours = errors(model, task_of(model, *inputs[:2], bits=3), inputs[2])
    assert ours < 0.8 * nearest


def test_a_model_in_float16_gains() -> None:
    draw = correlated(3, 8, 8)
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    inputs = [draw(48, seed).astype(np.float16) for seed in (1, 2, 3)]
    task = task_of(model, *inputs[:2], bits=3)
    nearest, ours = errors(model, task, inputs[2])
    assert ours < 0.5 * nearest


def test_samples_fewer_than_columns_are_enough_for_correlated_inputs() -> None:
    model, draw = load(one_node("Gemm", (256, 8), [256])), correlated(256)
    task = task_of(model, draw(64, 1), draw(8, 2), bits=4)
    nearest, ours = errors(model, task, draw(200, 3))
    assert ours < 0.5 * nearest


@pytest.mark.parametrize("size", [1, 4])
def test_a_fixed_batch_size_gives_the_same_codes_as_a_free_one(size: int) -> None:
    inputs = random(21, 4, seed=1)  # the last batch is filled up
    free, fixed = (
        reconstructed(task_of(load(mlp(batch=batch)), inputs, inputs, size=size))
        for batch in ("n", size)
    )
    for name, (codes, _) in free.quantized.items():
        np.testing.assert_array_equal(fixed.quantized[name].codes, codes)


def test_the_bias_absorbs_the_mean_error() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    model = load(model_of(nodes, {"x": ["n", 3, 5, 5]}, {"y": None}, {"w": random(4, 3, 3, 3)}))
    inputs = correlated(3, 5, 5)(40, 1)
    found = reconstructed(task_of(model, inputs, inputs, bits=2))
    before, after = (
        run(m, {"x": inputs})["y"].mean(axis=(0, 2, 3))
        for m in (model, with_codes(found.model, found.quantized))
    )
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_a_matmul_without_a_bias_gets_none() -> None:
    model = load(one_node("MatMul", (8, 4), [8]))
    found = reconstructed(task_of(model, random(20, 8), random(8, 8)))
    assert proto(found.model) == model


def test_later_layers_compensate_for_the_errors_of_earlier_ones() -> None:
    model, inputs = load(mlp()), random(256, 4, seed=1)
    task = task_of(model, inputs, inputs, bits={"first": 2, "second": 8})
    found, scoring = reconstructed(task), scoring_set(model, {"x": random(64, 4, seed=3)}, 8)
    first = with_codes(found.model, {"first": found.quantized["first"]})
    untouched = first.with_values(initializer_values(model, ["second_bias"]))
    ours = with_codes(found.model, found.quantized)
    assert model_value(ours, scoring) < 0.7 * model_value(untouched, scoring)


def test_a_residual_branch_compensates_for_the_other_one() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["x", "v"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"w": random(8, 4), "v": random(8, 4, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 4]}, weights))
    inputs = random(64, 8, seed=1)
    task = task_of(model, inputs, inputs, bits={"w": 2, "v": 8})
    nearest, ours = errors(model, task, random(64, 8, seed=3))
    assert ours < 0.01 * nearest


def no_closed_form() -> dict[str, tuple[ModelProto, np.ndarray]]:
    return {
        "table": (
            model_of([node("Gather", ["w", "x"], ["y"])], {"x": ["n"]}, {"y": ["n", 4]},
                     {"w": random(9, 4)}, dtypes={"x": "int64"}), np.arange(12) % 9
        ),
        "masked": (
            model_of([node("Gemm", ["x", "w"], ["a"]), node("Add", ["a", "x"], ["s"]),
                      node("Softmax", ["s"], ["y"])],
                     {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)}),
            np.where(random(12, 4) > 1.5, np.float32(-3e38), np.float32(1)),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", no_closed_form())
def test_weights_without_a_closed_form_are_rounded_and_named(kind: str) -> None:
    given, inputs = no_closed_form()[kind]
    model = load(given)
    found = reconstructed(task_of(model, inputs, inputs, bits=4))
    assert found.nearest == tuple(rounded(model, 4))
    assert found.layers == {}
    for name, (codes, _) in rounded(model, 4).items():
        np.testing.assert_array_equal(found.quantized[name].codes, codes)


def test_every_weight_has_its_own_width() -> None:
    inputs = random(40, 4)
    found = reconstructed(task_of(load(mlp()), inputs, inputs, bits={"first": 2, "second": 7}))
    assert {name: grid.bits for name, (_, grid) in found.quantized.items()} == {
        "first": 2, "second": 7,
    }  # fmt: skip


def test_the_same_seed_gives_the_same_codes() -> None:
    inputs = random(40, 3, 8, 8)
    one, two = (reconstructed(task_of(folded(), inputs, inputs)) for _ in range(2))
    for name, (codes, _) in one.quantized.items():
        np.testing.assert_array_equal(two.quantized[name].codes, codes)
    assert same(one.model, two.model)


def test_the_cost_of_moves_and_the_deviation_of_outputs_are_kept() -> None:
    inputs = random(200, 4)
    task = task_of(load(mlp()), inputs, inputs)
    first = reconstructed(task).layers["first"]
    assert first.up.shape == first.down.shape == (4, 6)
    outputs = inputs @ first.best_weight
    np.testing.assert_allclose(first.spread, outputs.std(axis=0), rtol=1e-4)


def test_out_of_time_weights_are_rounded_to_the_nearest_codes() -> None:
    inputs = random(20, 4)
    task = task_of(load(mlp()), inputs, inputs, deadline=Deadline(0))
    found = reconstructed(task)
    assert (found.layers, found.nearest) == ({}, ())  # they have a closed form
    for name, (codes, _) in rounded(task.model, 4).items():
        np.testing.assert_array_equal(found.quantized[name].codes, codes)
    assert found.cut == "to save time, of 2 layers 2 are rounded to the nearest codes."


@pytest.mark.parametrize("deadline", [NO_DEADLINE, Deadline(10**6)])
def test_with_enough_time_of_its_own_nothing_is_cut(deadline: Deadline) -> None:
    inputs = random(20, 4)
    task, rng = task_of(load(mlp()), inputs, inputs, deadline=Deadline(0)), np.random.default_rng(0)
    found = reconstruct_layers(task, rng, deadline=deadline)
    assert set(found.layers) == {"first", "second"}
    assert found.cut == ""


@pytest.mark.parametrize("effort", EFFORTS)
def test_any_effort_is_better_than_nearest_rounding(effort: Effort) -> None:
    draw = correlated(3, 8, 8)
    task = task_of(folded(), draw(48, 1), draw(48, 2), bits=3)
    found = reconstruct_layers(task, np.random.default_rng(0), effort)
    plain = with_codes(task.model, rounded(task.model, 3))
    assert task.fitness(found.as_float) < 0.6 * task.fitness(plain)


def test_the_number_of_workers_changes_no_code() -> None:
    inputs = random(40, 3, 8, 8)
    one, two = (
        reconstructed(task_of(folded(), inputs, inputs, resources=Resources(workers=n)))
        for n in (1, 2)
    )
    assert same(one.as_float, two.as_float)


def test_a_branch_that_is_broadcast_over_a_sum_keeps_its_own_output() -> None:
    nodes = [
        node("ReduceMean", ["x", "axes"], ["m"], keepdims=1),
        node("MatMul", ["m", "w1"], ["a"]),
        node("MatMul", ["x", "w2"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"axes": np.array([1]), "w1": random(6, 6), "w2": random(6, 6, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 5, 6]}, {"y": ["n", 5, 6]}, weights, opset=18))
    task = task_of(model, random(40, 5, 6), random(10, 5, 6, seed=2), bits=4)
    found = reconstruct_layers(task, np.random.default_rng(0))
    assert found.nearest == ()
    assert task.fitness(found.as_float) < task.fitness(with_codes(model, rounded(model, 4)))


def test_a_matrix_on_the_left_of_a_matrix_gets_the_codes_of_one_on_the_right() -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]),
        node("MatMul", ["w", "t"], ["m"]),
        node("Transpose", ["m"], ["y"], perm=[1, 0]),
    ]
    weight = random(8, 8)
    models = [
        model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 8]}, {"w": weight}),
        model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 8]}, {"y": ["n", 8]},
                 {"w": weight.T.copy()}),
    ]  # fmt: skip
    left, right = (
        reconstruct_layers(
            task_of(load(model), random(40, 8), random(8, 8)), np.random.default_rng(0)
        ).quantized["w"]
        for model in models
    )
    np.testing.assert_array_equal(left.values, right.values.T)


# A width per channel


def test_a_channel_of_the_first_layer_depends_on_its_own_width_only() -> None:
    # Layers behind it read other inputs, whatever their widths.
    draw = correlated(3, 8, 8)
    given = task_of(folded(), draw(16, 1), draw(8, 2), granularity="channel")
    widths = {**given.bits, "w1": (2, 6, 3, 4, 2, 6)}
    mixed = reconstructed(replace(given, bits=widths)).quantized["w1"]
    assert mixed.grid.bits == widths["w1"]
    for channel, bits in enumerate((2, 6, 3)):
        alone = reconstructed(replace(given, bits={**given.bits, "w1": bits})).quantized["w1"]
        assert (mixed.codes[channel] == alone.codes[channel]).all()
        assert mixed.grid.step[channel] == alone.grid.step[channel]


def test_wider_channels_leave_less_error() -> None:
    draw = correlated(3, 8, 8)
    values = []
    for bits in (2, (2, 4, 4, 4, 4, 4), 4):
        given = task_of(folded(), draw(64, 1), draw(64, 2), bits=8, granularity="channel")
        given = replace(given, bits={**given.bits, "w2": bits})
        values.append(given.fitness(reconstructed(given).as_float))
    assert values[0] > values[1] > values[2]


def test_errors_that_an_activation_behind_a_sum_hides_do_not_count() -> None:
    nodes = [
        node("MatMul", ["x", "v"], ["o"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["s"]),
        node("Add", ["o", "s"], ["t"]),
        node("Relu", ["t"], ["y"]),
    ]
    weights = {"w": random(8, 6), "b": random(6, seed=1), "v": random(8, 6, seed=2)}
    model = load(model_of(nodes, {"x": ["n", 5, 8]}, {"y": ["n", 5, 6]}, weights))
    task = task_of(model, random(40, 5, 8), random(200, 5, 8, seed=7), bits=4)
    errors = [
        task.fitness(reconstruct_layers(task, np.random.default_rng(0), effort).as_float)
        for effort in (FULL, replace(FULL, activation_rounds=0))
    ]
    assert errors[0] < 0.95 * errors[1]
    assert task.fitness(reconstructed(task).as_float) == errors[0]


def test_what_a_search_needs_besides_may_be_left_out() -> None:
    inputs = random(40, 4)
    task = task_of(load(mlp()), inputs, inputs)
    whole = reconstructed(task)
    found = reconstruct_layers(task, np.random.default_rng(0), details=False)
    assert same(found.as_float, whole.as_float)
    for layer in found.layers.values():
        assert layer.up.size == layer.down.size == layer.best_weight.size == 0


def test_a_weight_of_a_loop_gains() -> None:
    model, draw = load(looped()), correlated(6)
    task = task_of(model, draw(96, 1), draw(16, 3), bits=3)
    found = reconstructed(task)
    assert set(found.layers) == {"w1", "w2"}
    assert "b1" in found.model.values
    nearest, rebuilt = errors(model, task, draw(64, 2))
    assert rebuilt < 0.7 * nearest


def branches(kind: str, *, always: bool = False) -> Model:
    """x (n, 6) -> If(x[0, 0] > 0, or always) -> one of two MatMuls or Convs -> y (n, 4)."""

    def branch(name: str, weight: str) -> GraphProto:
        if kind == "MatMul":
            return body(name, [node(kind, ["x", weight], [name])], name)
        nodes = [
            node("Unsqueeze", ["x", "axis"], [f"{name}_x"]),
            node(kind, [f"{name}_x", weight], [f"{name}_y"]),
            node("Squeeze", [f"{name}_y", "axis"], [name]),
        ]
        return body(name, nodes, name)

    nodes = [
        node("Gather", ["x", "first"], ["row"]),
        node("Gather", ["row", "first"], ["value"]),
        node("Greater", ["value", "limit"], ["c"]),
        node("If", ["c"], ["y"], then_branch=branch("a", "w1"), else_branch=branch("b", "w2")),
    ]
    shape = (6, 4) if kind == "MatMul" else (4, 6, 1)
    weights = {
        "w1": random(*shape), "w2": random(*shape, seed=1), "first": np.array(0),
        "limit": np.float32(-100 if always else 0), "axis": np.array([2]),
    }  # fmt: skip
    return load(model_of(nodes, {"x": [1, 6]}, {"y": [1, 4]}, weights))


@pytest.mark.parametrize("kind", ["MatMul", "Conv"])
def test_weights_of_branches_gain_from_the_samples_that_run_them(kind: str) -> None:
    model, draw = branches(kind), correlated(6)
    options = {"bits": 3, "size": 1, "deadline": Deadline(60.0)}
    task = task_of(model, draw(96, 1), draw(16, 3), **options)
    assert set(reconstructed(task).layers) == {"w1", "w2"}
    nearest, rebuilt = errors(model, task, draw(64, 2))
    assert rebuilt < 0.7 * nearest


@pytest.mark.parametrize("kind", ["MatMul", "Conv"])
def test_the_weight_of_a_branch_that_never_runs_is_rounded_to_the_nearest(kind: str) -> None:
    inputs = correlated(6)(48, 1)
    task = task_of(branches(kind, always=True), inputs, inputs, bits=3, size=1)
    found = reconstructed(task)
    assert (set(found.layers), found.nearest, found.unreached) == ({"w1"}, ("w2",), ("w2",))
    plain = nearest_of(task.weights, task.bits, task.granularity, task.scale)["w2"]
    np.testing.assert_array_equal(found.quantized["w2"].codes, plain.codes)


def test_a_branch_that_never_runs_keeps_its_bias_if_its_weight_is_used_elsewhere() -> None:
    model = branches("MatMul", always=True)
    (choice,) = (n for n in model.graph.node if n.op_type == "If")
    for attribute in choice.attribute:
        (product,) = attribute.g.node
        product.op_type = "Gemm"
        product.input[1] = "w1"
        product.input.append("b1" if attribute.name == "then_branch" else "b2")
    biases = {"b1": random(4, seed=5), "b2": random(4, seed=6)}
    for name, values in biases.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    inputs = correlated(6)(48, 1)
    found = reconstructed(task_of(model, inputs, inputs, bits=3, size=1))
    assert set(found.layers) == {"w1"}
    after = initializer_values(found.model, biases)
    assert (after["b1"] != biases["b1"]).any()
    np.testing.assert_array_equal(after["b2"], biases["b2"])


# Products within a node


def codes_of(nodes: list[Any], size: list[Any], weights: dict[str, np.ndarray]) -> QuantizedModel:
    """A model of some nodes, quantized."""
    model = load(model_of(nodes, {"x": ["n", *size]}, {"y": None}, weights))
    draw = correlated(*size)
    return reconstructed(task_of(model, draw(32, 1), draw(16, 2)))


def test_a_convolution_with_an_activation_and_a_sum_gets_the_codes_of_its_parts() -> None:
    own = {"domain": "com.microsoft"}
    sizes = {"kernel_shape": [3, 3], "pads": [1] * 4}
    fused = [
        node("FusedConv", ["x", "v"], ["h"], activation="Relu", **sizes, **own),
        node("FusedConv", ["h", "w", "b", "x"], ["y"], activation="Relu", **sizes, **own),
    ]
    parts = [
        node("Conv", ["x", "v"], ["c"], **sizes),
        node("Relu", ["c"], ["h"]),
        node("Conv", ["h", "w", "b"], ["a"], **sizes),
        node("Add", ["a", "x"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    weights = {"v": random(4, 3, 3, 3), "w": random(3, 4, 3, 3, seed=1), "b": random(3, seed=2)}
    one, other = (codes_of(nodes, [3, 6, 6], weights) for nodes in (fused, parts))
    for name in ("v", "w"):
        np.testing.assert_array_equal(one.quantized[name].codes, other.quantized[name].codes)
    np.testing.assert_allclose(one.layers["w"].bias, other.layers["w"].bias, atol=1e-5)


def test_the_projection_of_an_attention_gets_the_codes_of_a_gemm() -> None:
    attention = node("Attention", ["x", "w", "b"], ["y"], num_heads=2, domain="com.microsoft")
    plain = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    weights = {"w": random(8, 24), "b": random(24, seed=1)}
    one, other = (codes_of(nodes, [5, 8], weights) for nodes in ([attention], plain))
    np.testing.assert_array_equal(one.quantized["w"].codes, other.quantized["w"].codes)
    np.testing.assert_allclose(one.layers["w"].bias, other.layers["w"].bias, atol=1e-5)


def test_an_einsum_gets_the_codes_of_a_matmul() -> None:
    weights = {"w": random(8, 24)}
    einsum = node("Einsum", ["x", "w"], ["y"], equation="bij,jk->bik")
    one, other = (
        codes_of([each], [5, 8], weights) for each in (einsum, node("MatMul", ["x", "w"], ["y"]))
    )
    np.testing.assert_array_equal(one.quantized["w"].codes, other.quantized["w"].codes)


def test_a_matrix_for_each_head_gets_the_codes_of_layers_by_themselves() -> None:
    weight, draw = random(2, 8, 6), correlated(2, 5, 8)

    def codes(inputs: Callable[[int, int], np.ndarray], of_weight: np.ndarray) -> np.ndarray:
        size = inputs(1, 1).shape[1:]
        model = load(model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", *size]},
                              {"y": None}, {"w": of_weight}))  # fmt: skip
        task = task_of(model, inputs(32, 1), inputs(16, 2), granularity="channel")
        return reconstructed(replace(task, scale="float")).quantized["w"].values

    whole = codes(draw, weight)
    for head in range(2):
        alone = codes(lambda n, seed, h=head: draw(n, seed)[:, h], weight[head])
        own = np.square(alone - weight[head]).mean()
        assert np.square(whole[head] - weight[head]).mean() < 4 * own  # steps are shared


def recurrence(kind: str, **attributes: Any) -> Model:
    """x (n, 7, 6) -> a recurrent operator with 5 states -> MatMul -> y (n, 7, 4)."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows, states = 5 * {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 5 * directions
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node(kind, ["t", "w", "r", "b", "", "h0"], ["h"], hidden_size=5, **attributes),
        node("Transpose", ["h"], ["u"], perm=[2, 0, 1, 3]),
        node("Reshape", ["u", "shape"], ["v"]),
        node("MatMul", ["v", "last"], ["y"]),
    ]
    weights = {
        "w": random(directions, rows, 6), "r": random(directions, rows, 5) / 2,
        "b": random(directions, 2 * rows), "h0": random(directions, 1, 5),
        "shape": np.array([0, 7, states]), "last": random(states, 4),
    }  # fmt: skip
    weights["h0"] = np.repeat(weights["h0"], 8, axis=1)
    return load(model_of(nodes, {"x": [8, 7, 6]}, {"y": [8, 7, 4]}, weights))


RECURRENT: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {"direction": "bidirectional"}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"direction": "reverse"}),
    ("RNN", {}),
]


@pytest.mark.parametrize(("kind", "attributes"), RECURRENT)
def test_the_weights_of_a_recurrent_operator_gain(kind: str, attributes: dict[str, Any]) -> None:
    model, draw = recurrence(kind, **attributes), correlated(7, 6)
    task = task_of(model, draw(96, 1), draw(16, 3), bits=3, keep=["last"])
    found = reconstructed(task)
    assert set(found.layers) == {"w", "r"}
    assert found.model.values["b"].shape == initializer_values(model, ["b"])["b"].shape
    nearest, rebuilt = errors(model, task, draw(64, 2))
    assert rebuilt < 0.5 * nearest


def test_the_weight_of_the_states_makes_up_for_that_of_the_inputs() -> None:
    model, draw = recurrence("RNN"), correlated(7, 6)
    inputs, heldout, unseen = draw(96, 1), draw(16, 3), draw(64, 2)
    both = task_of(model, inputs, heldout, bits={"w": 2, "r": 4}, keep=["last"])
    alone = task_of(model, inputs, heldout, bits={"w": 2}, keep=["last", "r"])
    (_, with_states), (_, without) = (errors(model, task, unseen) for task in (both, alone))
    assert with_states < 0.9 * without  # though it is rounded itself


# Several layers with one weight


def both_sides(layer: list[Any], weights: dict[str, np.ndarray]) -> ModelProto:
    """x (n, 2, 5, 8) -> a layer from "x0" to "y0", and another from "x1" to "y1" -> y."""
    again = [
        node(each.op_type, *([name.replace("0", "1") for name in names]
                             for names in (each.input, each.output)))
        for each in layer
    ]  # fmt: skip
    split, joined = (
        node("Split", ["x"], ["x0", "x1"], axis=1),
        node("Concat", ["y0", "y1"], ["y"], axis=1),
    )
    nodes = [split, *layer, *again, joined]
    return model_of(nodes, {"x": ["n", 2, 5, 8]}, {"y": None}, weights, opset=12)


def test_layers_with_one_weight_get_the_codes_of_one_layer_with_all_positions() -> None:
    weights, draw = {"w": random(8, 6)}, correlated(2, 5, 8)
    models = [
        both_sides([node("MatMul", ["x0", "w"], ["y0"])], weights),
        model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 2, 5, 8]}, {"y": None}, weights),
    ]
    tied, plain = (reconstructed(task_of(load(m), draw(32, 1), draw(16, 2))) for m in models)
    assert tied.nearest == plain.nearest == ()
    np.testing.assert_array_equal(tied.quantized["w"].codes, plain.quantized["w"].codes)


def test_each_layer_with_a_weight_has_a_bias_for_its_own_mean() -> None:
    weights = {"w": random(8, 6), "b": random(6, seed=1)}
    layer = [node("MatMul", ["x0", "w"], ["m0"]), node("Add", ["m0", "b"], ["y0"])]
    model, inputs = load(both_sides(layer, weights)), random(64, 2, 5, 8, seed=2)
    inputs[:, 1] += 3
    found = reconstructed(task_of(model, inputs, inputs, bits=3))
    assert found.layers["w"].bias.shape == (2, 6)
    errors = (
        run(found.as_float, {"x": inputs})["y"] - run(model, {"x": inputs})["y"]
    )  # (n, 2, 5, 6)
    np.testing.assert_allclose(errors.mean(axis=(0, 2)), 0, atol=1e-4)


def test_a_layer_that_reads_the_transpose_of_a_table_fits_what_reads_the_table() -> None:
    nodes = [
        node("Gather", ["t", "x"], ["e"]),
        node("MatMul", ["e", "v"], ["h"]),
        node("Transpose", ["t"], ["u"]),
        node("MatMul", ["h", "u"], ["y"]),
    ]
    weights = {"t": random(20, 8), "v": random(8, 8, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 3]}, {"y": None}, weights, dtypes={"x": "int64"}))
    draws = [np.random.default_rng(seed).integers(0, 20, (64, 3)) for seed in (0, 1)]
    task = task_of(model, *draws, bits={"t": 3, "v": 8})
    found = reconstructed(task)
    assert list(found.layers) == ["t", "v"]
    nearest = with_codes(model, task.nearest(task.weights, task.bits))
    assert task.fitness(found.as_float) < 0.7 * task.fitness(nearest)


def test_repeated_blocks_gain_more_than_half_of_the_error() -> None:
    nodes: list[Any] = []
    for block in range(4):
        x = f"s{block - 1}" if block else "x"
        nodes += [
            node("Gemm", [x, "w", "b"], [f"m{block}"]),
            node("Relu", [f"m{block}"], [f"r{block}"]),
            node("Gemm", [f"r{block}", "v"], [f"q{block}"]),
            node("Add", [f"q{block}", x], [f"s{block}"]),
        ]
    weights = {"w": random(8, 16) / 3, "b": random(16, seed=1), "v": random(16, 8, seed=2) / 4}
    model = load(model_of(nodes, {"x": ["n", 8]}, {"s3": ["n", 8]}, weights))
    draw = correlated(8)
    nearest, ours = errors(model, task_of(model, draw(128, 1), draw(32, 2)), draw(64, 3))
    assert ours < 0.5 * nearest


@pytest.mark.parametrize("done", [1, 2])
def test_an_interruption_keeps_the_layers_that_are_done(done: int) -> None:
    model, x = folded(), random(40, 3, 8, 8)
    task = task_of(model, x, x)
    whole, nearest = reconstructed(task), rounded(model, 4)
    with pytest.raises(ReconstructionInterrupted) as stopped:
        reconstructed(replace(task, progress=interrupting(done)))
    partial = stopped.value.partial
    assert partial is not None
    names = list(whole.quantized)
    assert list(partial.quantized) == names
    assert list(partial.layers) == names[:done]
    assert partial.late == frozenset(names[done:])
    for place, name in enumerate(names):
        expected = whole.quantized[name] if place < done else nearest[name]
        np.testing.assert_array_equal(partial.quantized[name].codes, expected.codes)
    assert partial.cut == (
        f"the reconstruction was stopped after {done} of 3 weights: the others are rounded to the "
        "nearest codes."
    )


def test_an_interruption_before_the_first_layer_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Walk, "samples", interrupted)
    with pytest.raises(ReconstructionInterrupted) as stopped:
        reconstructed(task_of(load(mlp()), random(20, 4), random(20, 4)))
    assert stopped.value.partial is None
