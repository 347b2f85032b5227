"""The forms of the benchmark compute what the model does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from bench_folding import KINDS, rewritten
from graphs import conv_net, random, run

from onnx_evoq.model import find_weights, fold_constants, load


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_computes_the_same_and_is_folded(
    kind: str, save: Callable[[onnx.ModelProto], Path]
) -> None:
    file = save(conv_net(opset=17))
    model = rewritten(file, KINDS[kind])
    x = random(2, 3, 8, 8, seed=1)
    expected, found = (run(each, {"x": x})["logits"] for each in (onnx.load(file), model))
    assert np.allclose(expected, found, atol=0.05 * np.abs(expected).max())
    assert (len(model.graph.node) > 8) is (kind != "direct")
    weights, _ = find_weights(fold_constants(load(model), requantize=True).model)
    assert [weight.shape for weight in weights] == [(6, 3, 3, 3), (6, 6, 3, 3), (6, 5)]
