"""Clips whose channels have limits of their own, against Clip itself."""

import numpy as np
import pytest
from graphs import model_of, node, random, run
from onnx import ModelProto, numpy_helper

from onnx_evoq.model import load
from onnx_evoq.model.graph import constant_tensors
from onnx_evoq.model.layers import clip_limits, with_scaled_limits

X = 5 * random(2, 3, 4, 4)
SCALES = np.array([0.25, 1.0, 8.0]).reshape(1, 3, 1, 1)
INFINITE = float("inf")


def clip(low: float | None, high: float | None, dtype: str = "float32") -> ModelProto:
    """x (n, 3, 4, 4) -> Clip -> y."""
    limits = {"low": low, "high": high}
    given = {name: np.array(limit, dtype) for name, limit in limits.items() if limit is not None}
    names = [name if name in given else "" for name in limits]
    nodes = [node("Clip", ["x", *names], ["y"])]
    return load(model_of(nodes, {"x": ["n", 3, 4, 4]}, {"y": None}, given, dtype=dtype))


@pytest.mark.parametrize("limits", [(0.0, 6.0), (-1.0, 2.0), (0.5, None), (None, 2.0)])
def test_scaled_limits_scale_the_output_with_the_input(
    limits: tuple[float | None, float | None],
) -> None:
    model = clip(*limits)
    (before,) = run(model, {"x": X}).values()
    scaled = with_scaled_limits(model, {"y": SCALES})
    (after,) = run(scaled, {"x": (X * SCALES).astype(np.float32)}).values()
    np.testing.assert_allclose(after, before * SCALES, rtol=1e-6)
    assert not any(n.op_type == "Clip" for n in scaled.graph.node)


def test_other_clips_stay() -> None:
    model = clip(0.0, 6.0)
    for scales in ({}, {"y": np.ones((1, 3, 1, 1))}, {"z": SCALES}):
        assert with_scaled_limits(model, scales).graph.node == model.graph.node


def test_limits_keep_their_type_and_are_finite() -> None:
    scaled = with_scaled_limits(clip(0.0, 60.0, "float16"), {"y": SCALES * 1e4})
    (limit,) = (numpy_helper.to_array(t) for t in scaled.graph.initializer if t.dims)
    assert limit.dtype == np.float16
    assert limit.ravel().tolist() == [65504.0] * 3


def test_limits_of_inputs_and_of_attributes() -> None:
    model = clip(None, 6.0)
    tensors = constant_tensors(model.graph)
    assert clip_limits(model.graph.node[0], tensors) == (-INFINITE, 6)
    assert clip_limits(node("Clip", ["x"], ["y"], min=0.0, max=6.0), {}) == (0, 6)
    assert clip_limits(node("Clip", ["x", "", "m"], ["y"]), {}) is None
