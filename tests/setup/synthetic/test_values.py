"""Values to try for inputs."""

import numpy as np
import pytest

from onnx_evoq.data import Chosen, Noise, Positions, Values, Whole
from onnx_evoq.model import InputUses, RowIndex
from onnx_evoq.setup.synthetic.values import Around, noise_of, values_of_role, within_limits
from onnx_evoq.signature import TensorSpec

TABLE = RowIndex("table", 0, constant=True)


def spec(dtype: str, name: str = "x") -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), (None, None))


def of_role(
    uses: InputUses,
    dtype: str = "int64",
    sample: tuple[int, ...] = (7,),
    sizes: tuple[int, ...] = (5, 9),
    name: str = "x",
) -> list[Values]:
    tensors = {"table": (20, 8), "h": (None, 6), "pairs": (5, 2), "singles": (5, 1)}
    around = Around(sample, tensors, sizes)
    return values_of_role(spec(dtype, name), uses, around)


@pytest.mark.parametrize(
    ("uses", "first"),
    [
        (InputUses(rows=(TABLE,)), Whole(0, 20)),
        (InputUses(rows=(TABLE, RowIndex("table", 1))), Whole(0, 8)),
        (InputUses(rows=(RowIndex("table", None),)), Whole(0, 8)),
        (InputUses(rows=(RowIndex("table", None, places="pairs"),)), Whole(0, 8)),
        (InputUses(rows=(RowIndex("table", None, places="singles"),)), Whole(0, 20)),
        (InputUses(rows=(RowIndex("unknown", 0),)), Whole(0, 5)),
        (InputUses(rows=(RowIndex("h", 0),)), Whole(0, 5)),
        (InputUses(rows=(RowIndex("table", 0, scale=2.0, offset=5.0),)), Whole(0, 8)),
        (InputUses(classes=9), Whole(0, 9)),
        (InputUses(passing=1.0), Chosen((1.0,))),
        (InputUses(passing=0.0, compared=(0.0,)), Chosen((0.0,))),
        (InputUses(angle=True), Positions()),
        (InputUses(lengths=True), Chosen((5,))),
        (InputUses(compared=(0.0, 8000.0, 16000.0)), Chosen((0.0, 8000.0, 16000.0))),
    ],
)
def test_uses_say_what_whole_numbers_are(uses: InputUses, first: Values) -> None:
    assert of_role(uses)[0] == first


def test_one_number_that_is_compared_with_constants_is_each_of_them_in_turn() -> None:
    tried = of_role(InputUses(compared=(16000.0, 8000.0), decides=True), sample=())
    assert tried == [Chosen((16000.0,)), Chosen((8000.0,))]


def test_flags_and_numbers_without_a_role_have_none() -> None:
    assert of_role(InputUses(compared=(0.0, 1.0), otherwise=True)) == []
    assert of_role(InputUses(compared=(300.0,)), dtype="uint8") == []
    assert of_role(InputUses(otherwise=True), dtype="float32") == []


def test_a_flag_that_chooses_a_branch_chooses_each_in_turn() -> None:
    assert of_role(InputUses(decides=True), "bool", ()) == [Chosen((1.0,)), Chosen((0.0,))]


def test_a_name_says_that_numbers_are_a_mask() -> None:
    assert of_role(InputUses(otherwise=True), name="Attention_Mask")[0] == Chosen((1.0,))


def test_time_steps_are_up_to_1000() -> None:
    for dtype in ("int64", "float32"):
        assert of_role(InputUses(angle=True), dtype, ())[0] == Whole(0, 1000)
    assert of_role(InputUses(angle=True), "float32", (7,)) == []


def test_floats_are_a_mask_only_if_they_are_nothing_else() -> None:
    assert of_role(InputUses(passing=0.0), "float32") == [Chosen((0.0,))]
    assert of_role(InputUses(passing=0.0, otherwise=True), "float32") == []


def test_noise_is_positive_where_negative_numbers_give_no_result() -> None:
    noise = Noise(image=True, channel_axis=-3)
    assert noise_of(spec("float32"), True, -3) == [noise, noise.within(0, 1)]


@pytest.mark.parametrize(
    ("dtype", "image", "limits"),
    [("uint8", True, (0, 255)), ("uint8", False, (0, 255)), ("int8", True, (-128, 127)),
     ("int64", True, (0, 255))],
)  # fmt: skip
def test_pixels_are_bytes(dtype: str, image: bool, limits: tuple[int, int]) -> None:
    assert noise_of(spec(dtype), image, -1)[0] == Noise(image=image).within(*limits)


@pytest.mark.parametrize("dtype", ["bool", "int32"])
def test_other_whole_numbers_are_0_or_1(dtype: str) -> None:
    assert noise_of(spec(dtype), False, -1)[0] == Whole(0, 2)


def test_limits_hold_for_whole_numbers_as_far_as_their_type_goes() -> None:
    assert within_limits(spec("int64"), Whole(0, 2), (-0.5, 9.5)) == Whole(0, 10)
    assert within_limits(spec("uint8"), Noise(), (-10, 300)) == Noise().within(0, 255)
    assert within_limits(spec("uint8"), Noise(), (-10, -1)) is None
    assert within_limits(spec("float32"), Noise(), (0, 0.5)) == Noise().within(0, 0.5)
    assert within_limits(spec("bool"), Whole(0, 2), (0, 255)) == Whole(0, 2)
