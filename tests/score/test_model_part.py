"""A part of a model with its cached activations: its feed, and what is read of its outputs."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node

from onnx_evoq.batch import Batch
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.score import BatchRun, ModelPart, Session

# One batch of two samples, the last of which is padding. The output "early" is cached.
TENSORS = {"a": np.float32([[1, 0], [0, 1]]), "early": np.float32([[5], [6]])}


@pytest.fixture(scope="module")
def part() -> ModelPart:
    """y = a w, of a weight w (2, 1) of float16 that ONNX casts to float32."""
    nodes = [node("Cast", ["w"], ["wide"], to=1), node("MatMul", ["a", "wide"], ["y"])]
    model = model_of(
        nodes, {"a": ["n", 2], "w": [2, 1]}, {"y": ["n", 1]}, {}, dtypes={"w": "float16"}
    )
    reference = [{"early": np.full((1, 1), 5.0), "y": np.zeros((1, 1))}]
    return ModelPart(
        Session(model.SerializeToString()), {"w": "float16"}, ["a"], ["early", "y"], [TENSORS],
        [Batch({}, 2, 1)], Criterion(find_metric("mse"), reference, None),
    )  # fmt: skip


def weight(*numbers: float) -> dict[str, Any]:
    return {"w": np.float32(numbers)[:, None]}


def test_the_feed_has_the_weights_in_their_type_and_the_inputs_of_the_session(
    part: ModelPart,
) -> None:
    feed = part.feed(weight(2, 3), TENSORS)
    assert {name: values.dtype.name for name, values in feed.items()} == {
        "a": "float32",
        "w": "float16",
    }
    assert feed["w"].tolist() == [[2], [3]]


def test_a_weight_of_the_right_type_is_not_copied(part: ModelPart) -> None:
    values = {"w": np.float16([[2], [3]])}
    assert part.feed(values, TENSORS)["w"] is values["w"]


def test_outputs_are_those_of_the_session_and_cached_ones_without_padding(part: ModelPart) -> None:
    outputs = part.outputs(weight(2, 3), 0)
    assert list(outputs) == ["early", "y"]  # in the model's order
    assert {name: values.tolist() for name, values in outputs.items()} == {
        "early": [[5]],
        "y": [[2]],
    }


def test_losses_are_those_of_the_criterion(part: ModelPart) -> None:
    assert part.losses(weight(2, 3), 0).tolist() == [2.0]  # of both outputs: (0 + 4) / 2


def test_a_run_gives_losses_or_what_is_read_of_the_outputs(part: ModelPart) -> None:
    assert BatchRun(part, weight(2, 3), 0)().tolist() == [2.0]
    assert BatchRun(part, weight(2, 3), 0, lambda outputs: outputs["y"] + 1)().tolist() == [[3]]
