"""The inputs that are drawn with mean 0 and deviation 1."""

import numpy as np

from onnx_evoq.data import InputPlan, Noise, Whole
from onnx_evoq.setup.ranges.standardized import standardized_inputs, with_noise
from onnx_evoq.signature import TensorSpec

FLOAT = np.dtype("float32")
IMAGE, ROW, OTHER = (
    TensorSpec("image", FLOAT, (None, 3, 8, 8)),
    TensorSpec("row", FLOAT, (None, 5)),
    TensorSpec("other", FLOAT, (None, 5)),
)


def names(*specs: TensorSpec, **values: Noise) -> set[str]:
    plans = [
        InputPlan(spec.name, FLOAT, (spec.shape or ())[1:], values.get(spec.name, Noise()))  # type: ignore[arg-type]
        for spec in specs
    ]
    return standardized_inputs(specs, plans)


def test_images_are_found_before_other_floats() -> None:
    assert names(IMAGE, ROW) == {"image"}
    assert names(ROW) == {"row"}
    assert names(ROW, OTHER) == set()


def test_inputs_with_a_range_are_left_out() -> None:
    assert names(IMAGE, ROW, image=Noise().within(0, 1)) == {"row"}


def test_noise_of_some_inputs_is_changed() -> None:
    plans = [InputPlan("a", FLOAT, (3,), Noise()), InputPlan("b", FLOAT, (3,), Whole(0, 2))]
    changed = with_noise(plans, {"a"}, Noise().within(0, 1))
    assert [plan.values for plan in changed] == [Noise().within(0, 1), Whole(0, 2)]
