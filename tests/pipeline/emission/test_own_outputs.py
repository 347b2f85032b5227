import numpy as np
import pytest
from graphs import node, random
from onnx import numpy_helper
from selecting_nets import detector, two_stages

from onnx_evoq.batch import make_batches
from onnx_evoq.errors import ModelError
from onnx_evoq.model import input_specs, load
from onnx_evoq.pipeline import with_own_outputs
from onnx_evoq.setup import DEFAULT_RESOURCES, points_of


def test_a_model_has_its_own_outputs_again() -> None:
    model = load(detector())
    before, points = model.SerializeToString(), points_of(model, "m", DEFAULT_RESOURCES)
    (batch,) = make_batches({"x": random(1, 3, 8, 8)}, input_specs(model), 1)
    assert with_own_outputs(model, None, batch) == []
    assert model.SerializeToString() != before
    assert with_own_outputs(model, points.own, batch) == []
    assert model.SerializeToString() == before


def test_a_model_that_fails_behind_its_points_is_noted_or_refused() -> None:
    model = load(two_stages())
    points = points_of(model, "m", DEFAULT_RESOURCES)
    (batch,) = make_batches({"x": random(2, 4)}, input_specs(model), 2)
    last = next(each for each in model.graph.node if "y" in each.output)
    last.CopyFrom(node("Gather", ["h", "far"], ["y"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(99), "far"))
    assert points.own is not None
    (note,) = with_own_outputs(model, points.own, batch)
    assert "behind the tensors that are scored, the emitted model fails" in note
    model.graph.node[-1].op_type = "NoSuchOperator"  # its reader is gone
    with pytest.raises(ModelError, match="cannot load"):
        with_own_outputs(model, points.own, batch)
