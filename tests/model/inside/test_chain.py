"""Small nodes in the form of an operator set."""

import numpy as np
import pytest
from graphs import model_of, random, run

from onnx_evoq.model.inside.chain import Chain


@pytest.mark.parametrize("opset", [9, 10, 17])
@pytest.mark.parametrize(("start", "end"), [(0, 2), (1, None), (0, -1)])
def test_some_entries_along_an_axis(opset: int, start: int, end: int | None) -> None:
    chain, x = Chain(opset, "of x"), random(2, 5)
    part = chain.part("x", start, end, axis=1)
    chain.add("Identity", [part], "y")
    model = model_of(chain.nodes, {"x": ["n", 5]}, {"y": None}, {}, opset=opset)
    np.testing.assert_array_equal(run(model, {"x": x})["y"], x[:, start:end])


def test_names_begin_with_the_label_and_differ() -> None:
    chain = Chain(17, "of x")
    names = [chain.integers([1, 2]), chain.integers(3), chain.add("Neg", ["x"], "mine")]
    assert names == ["of x 0", "of x 1", "mine"]
