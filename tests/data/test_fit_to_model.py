"""Arrays made to fit a model's inputs: the steps, their order, and what cannot be fitted."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sample_groups import inputs_of

from onnx_evoq.batch import Group, one_group
from onnx_evoq.data.fit_to_model import fit_to_model
from onnx_evoq.data.preprocess import Preprocess
from onnx_evoq.data.reading import Limit, Raw
from onnx_evoq.data.samples import Samples
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec("x", np.dtype(dtype), (None, *shape))


def fit(values: ArrayLike, wanted: TensorSpec, **steps: object) -> Samples:
    raw = Raw([one_group({"x": np.asarray(values)})], None, "the data")
    return fit_to_model(raw, [wanted], Preprocess(**steps))  # type: ignore[arg-type]


def test_values_are_divided_then_centred_then_scaled() -> None:
    samples = fit([[10.0, 20.0]], spec(2), divide=10, mean=[0.5], std=[2])
    assert inputs_of(samples)["x"].tolist() == [[0.25, 0.75]]  # (10 / 10 - 0.5) / 2


@pytest.mark.parametrize(("shape", "axis"), [((3, 2, 2), 1), ((2, 2, 3), 3)])
def test_mean_and_std_go_by_channel(shape: tuple[int, ...], axis: int) -> None:
    values = np.full((1, *shape), 8, np.uint8)
    fitted = inputs_of(fit(values, spec(*shape), mean=[0, 4, 6], std=[1, 2, 4]))["x"]
    channels = np.moveaxis(fitted, axis, -1).reshape(-1, 3)
    assert channels.tolist() == [[8, 2, 0.5]] * 4


def test_bgr_is_flipped_before_the_mean_is_taken() -> None:
    values = np.float32([10, 20, 30]).reshape(1, 3, 1, 1)
    fitted = inputs_of(fit(values, spec(3, 1, 1), color="bgr", mean=[1, 2, 3]))["x"]
    assert fitted.ravel().tolist() == [29, 18, 7]


@pytest.mark.parametrize("step", ["mean", "std"])
def test_wrong_number_of_channel_values_is_refused(step: str) -> None:
    with pytest.raises(
        DataError, match=f"'x' has 3 channels but 2 values of {step}.*one per channel"
    ):
        fit(np.ones((1, 3, 2, 2)), spec(3, 2, 2), **{step: [1, 2]})


@pytest.mark.parametrize(
    ("have", "want", "layout"),
    [((5, 6, 3), (3, 5, 6), "nchw"), ((3, 5, 6), (5, 6, 3), "nhwc")],
)
def test_images_in_the_other_layout_are_transposed_and_noted(
    have: tuple[int, ...], want: tuple[int, ...], layout: str
) -> None:
    values = np.arange(90, dtype=np.float32).reshape(1, *have)
    samples = fit(values, spec(*want))
    axes = (0, 3, 1, 2) if layout == "nchw" else (0, 2, 3, 1)
    assert inputs_of(samples)["x"].tolist() == values.transpose(axes).tolist()
    assert samples.notes == (f"the data: 'x' was transposed to {layout}.",)


def test_images_that_fit_are_not_transposed() -> None:
    samples = fit(np.ones((1, 3, 4, 5), np.float32), spec(3, 4, 5))
    assert inputs_of(samples)["x"].shape == (1, 3, 4, 5)
    assert samples.notes == ()


def test_crop_takes_the_centre_of_arrays() -> None:
    values = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert inputs_of(fit(values, spec(1, 2, 2), crop=2))["x"][0, 0].tolist() == [[5, 6], [9, 10]]


def test_resize_comes_before_crop() -> None:
    halves = np.repeat(np.float32([[[[0, 1]]]]), 4, axis=3).repeat(8, axis=2)  # 8x8
    fitted = inputs_of(fit(halves, spec(1, 2, 2), resize=4, crop=2))["x"]
    # Four columns of a left half at 0 and a right half at 1; the two in the middle stay.
    assert fitted.shape == (1, 1, 2, 2)
    assert (fitted[..., 0] < 0.5).all()
    assert (fitted[..., 1] > 0.5).all()


def test_resized_arrays_may_come_in_the_other_layout() -> None:
    samples = fit(np.full((2, 8, 8, 3), 5.0), spec(3, 5, 5), resize=(5, 5))
    assert inputs_of(samples)["x"].shape == (2, 3, 5, 5)
    assert (inputs_of(samples)["x"] == 5).all()


def test_crop_larger_than_the_images_is_refused() -> None:
    with pytest.raises(DataError, match="2x2 is smaller than the crop 3x3: resize to more"):
        fit(np.ones((1, 3, 2, 2)), spec(3, 3, 3), crop=3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="'x' holds NaN or infinity: clean the samples"):
        fit([[1.0, value]], spec(2))


def test_values_too_large_for_the_type_are_refused() -> None:
    with pytest.raises(DataError, match="'x' holds NaN or infinity"):
        fit([[1e6]], spec(1, dtype="float16"))


def test_floats_do_not_go_into_whole_numbers() -> None:
    with pytest.raises(
        DataError, match="holds float64, but the model takes int64: give whole numbers"
    ):
        fit([[1.0]], spec(1, dtype="int64"))


@pytest.mark.parametrize("value", [-1, 256])
def test_whole_numbers_out_of_range_are_refused(value: int) -> None:
    with pytest.raises(DataError, match="'x' holds values that uint8 cannot"):
        fit([[5, value, 6]], spec(3, dtype="uint8"))


def test_strings_are_no_numbers() -> None:
    with pytest.raises(DataError, match=r"'x' holds <U1, and the model takes float32: give num"):
        fit([["a"]], spec(1))


@pytest.mark.parametrize("shape", [(2, 5), (2,), (2, 4, 4, 4)])
def test_wrong_shape_names_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        DataError, match=r"'x' has shape \(2.*\), but the model takes float32 \(n, 4\): reshape"
    ):
        fit(np.ones(shape), spec(4))


def test_one_axis_more_is_a_whole_feed_per_sample() -> None:
    assert inputs_of(fit(np.ones((5, 2, 4)), spec(4)))["x"].shape == (5, 2, 4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "bool"])
def test_values_get_the_type_of_the_input(dtype: str) -> None:
    fitted = inputs_of(fit(np.array([[0, 1]], np.uint8), spec(2, dtype=dtype)))["x"]
    assert fitted.dtype == dtype
    assert fitted.tolist() == [[0, 1]]


def test_uint8_fed_to_floats_is_noted() -> None:
    (note,) = fit(np.uint8([[3, 200]]), spec(2)).notes
    assert "'x' is uint8 and was fed as it is, 3 to 200: pass divide" in note


@pytest.mark.parametrize(
    ("wanted", "steps"),
    [(spec(2), {"divide": 255}), (spec(2), {"std": [2]}), (spec(2, dtype="uint8"), {})],
)
def test_uint8_that_is_scaled_or_for_an_input_of_uint8_is_not_noted(
    wanted: TensorSpec, steps: dict[str, object]
) -> None:
    assert fit(np.uint8([[3, 200]]), wanted, **steps).notes == ()


def test_notes_labels_and_source_are_kept() -> None:
    raw = Raw([one_group({"x": np.ones((1, 2))})], np.array([4]), "here", ("resized",))
    samples = fit_to_model(raw, [spec(2)], Preprocess())
    assert (samples.notes, samples.source) == (("resized",), "here")
    assert samples.labels is not None
    assert samples.labels.tolist() == [4]


def whole(shape: tuple[int | None, ...]) -> TensorSpec:
    return TensorSpec("x", np.dtype("uint8"), shape)


def test_images_for_whole_number_inputs_are_turned_and_cropped_too() -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    raw = Raw([one_group({"x": images})], None, "images")
    samples = fit_to_model(raw, [whole((None, 3, 2, 2))], Preprocess(crop=2, color="bgr"))
    assert (inputs_of(samples)["x"] == images[:, 1:3, 1:3, ::-1].transpose(0, 3, 1, 2)).all()


def test_fractions_for_whole_number_inputs_are_refused() -> None:
    raw = Raw([one_group({"x": np.ones((2, 3, 2, 2), np.uint8)})], None, "images")
    with pytest.raises(DataError, match="'x' takes uint8, and divide, mean and std make fractions"):
        fit_to_model(raw, [whole((None, 3, 2, 2))], Preprocess(divide=255))


@pytest.mark.parametrize(
    "steps", [Preprocess(crop=2), Preprocess(resize=2), Preprocess(color="bgr")]
)
def test_steps_for_images_are_refused_without_images(steps: Preprocess) -> None:
    spec = TensorSpec("x", np.dtype("float32"), (None, 4))
    with pytest.raises(DataError, match="resize, crop and color are for images"):
        fit_to_model(Raw([one_group({"x": np.ones((2, 4))})], None, "data"), [spec], steps)


def test_one_image_among_the_inputs_is_enough_for_steps_for_images() -> None:
    specs = [spec(1, 2, 2), TensorSpec("ids", np.dtype("int64"), (None, 3))]
    raw = Raw(
        [one_group({"x": np.ones((2, 1, 4, 4)), "ids": np.ones((2, 3), np.int64)})], None, "data"
    )
    fitted = inputs_of(fit_to_model(raw, specs, Preprocess(crop=2)))
    assert (fitted["x"].shape, fitted["ids"].shape) == ((2, 1, 2, 2), (2, 3))


def test_images_of_a_wrong_size_are_refused_as_they_are() -> None:
    with pytest.raises(DataError, match=r"'x' has shape \(1, 5, 6, 3\), but the model takes"):
        fit(np.ones((1, 5, 6, 3)), spec(3, 7, 7))


def test_whole_feeds_of_images_are_scaled_along_their_channels() -> None:
    spec = TensorSpec("x", np.dtype("float32"), (1, 3, 2, 4))
    raw = Raw([one_group({"x": np.full((5, 1, 3, 2, 4), 9.0)})], None, "data")
    samples = fit_to_model(raw, [spec], Preprocess(mean=(1, 2, 3)))
    assert inputs_of(samples)["x"][0, :, 0, 0].tolist() == [8, 7, 6]


def test_whole_feeds_of_images_in_nhwc_are_scaled_along_their_last_axis() -> None:
    spec = TensorSpec("x", np.dtype("float32"), (1, 2, 4, 3))
    raw = Raw([one_group({"x": np.full((5, 1, 2, 4, 3), 9.0)})], None, "data")
    samples = fit_to_model(raw, [spec], Preprocess(mean=(1, 2, 3)))
    assert inputs_of(samples)["x"][0, 0, 0].tolist() == [8, 7, 6]


def test_rows_are_scaled_along_their_last_axis() -> None:
    fitted = inputs_of(fit(np.ones((2, 5, 3)), spec(5, 3), mean=[0, 1, 2]))["x"]
    assert fitted[0].tolist() == [[1, 0, -1]] * 5


def test_resized_whole_numbers_are_rounded() -> None:
    values = np.uint8([[[[0, 10, 23]]]])  # resized to 3.75 and 18.125, or similar numbers
    fitted = inputs_of(fit(values, spec(1, 1, 2, dtype="uint8"), resize=(1, 2)))["x"]
    exact = inputs_of(fit(values, spec(1, 1, 2), resize=(1, 2), divide=1))["x"]
    assert fitted.dtype == np.uint8
    assert fitted.ravel().tolist() == np.rint(exact).ravel().tolist()
    assert fitted.ravel().tolist() != np.floor(exact).ravel().tolist()


def test_floats_for_whole_number_images_are_refused_not_rounded() -> None:
    with pytest.raises(DataError, match="holds float64, but the model takes uint8"):
        fit(np.full((1, 1, 2, 2), 0.5), spec(1, 2, 2, dtype="uint8"))


def test_colours_are_swapped_only_of_images_with_three_channels() -> None:
    values = np.float32([10, 20, 30, 40]).reshape(1, 4, 1, 1)
    fitted = inputs_of(fit(values, spec(4, 1, 1), color="bgr"))["x"]
    assert fitted.ravel().tolist() == [10, 20, 30, 40]


def test_open_axes_match_any_size() -> None:
    samples = fit(np.ones((1, 5, 6, 3), np.float32), spec(3, None, None))
    assert inputs_of(samples)["x"].shape == (1, 3, 5, 6)
    assert fit(np.ones((1, 3, 5, 6)), spec(3, None, None)).notes == ()


def test_an_input_without_a_shape_takes_any_array() -> None:
    unknown = TensorSpec("x", np.dtype("float32"), None)
    assert inputs_of(fit(np.ones((2, 3, 4, 5)), unknown))["x"].shape == (2, 3, 4, 5)
    assert inputs_of(fit(np.ones((2, 3, 4, 5, 6)), unknown))["x"].shape == (2, 3, 4, 5, 6)


def test_a_whole_feed_per_sample_has_the_shape_of_the_input() -> None:
    whole_feed = TensorSpec("x", np.dtype("float32"), (3, 4))
    assert inputs_of(fit(np.ones((5, 3, 4)), whole_feed))["x"].shape == (5, 3, 4)
    with pytest.raises(DataError, match=r"has shape \(5, 2, 4\), but the model takes"):
        fit(np.ones((5, 2, 4)), whole_feed)


@pytest.mark.parametrize("value", [0, 255])
def test_whole_numbers_at_the_limits_of_the_type_are_taken(value: int) -> None:
    assert inputs_of(fit([[value]], spec(1, dtype="uint8")))["x"].tolist() == [[value]]


def test_no_samples_have_no_values_to_check() -> None:
    assert inputs_of(fit(np.ones((0, 2), np.int64), spec(2, dtype="uint8")))["x"].shape == (0, 2)


def test_fitted_arrays_are_contiguous() -> None:
    samples = fit(np.ones((2, 4, 5, 3), np.float32), spec(3, 4, 5))
    assert inputs_of(samples)["x"].flags.c_contiguous


@pytest.mark.parametrize(
    ("values", "steps", "own"),
    [
        (np.ones((3, 2), np.float32), {}, False),
        (np.ones((3, 2), np.float32)[::-1], {}, True),  # made contiguous
        (np.ones((3, 2), np.float32)[1:], {}, False),
        (np.ones((3, 2)), {}, True),  # of another type
        (np.ones((3, 2), np.float32), {"divide": 2}, True),
    ],
)
def test_samples_are_their_own_only_if_they_are_copies(
    values: np.ndarray, steps: dict[str, float], own: bool
) -> None:
    assert fit(values, spec(2), **steps).own == own


def test_feeds_with_an_axis_of_one_for_samples_are_samples() -> None:
    assert inputs_of(fit(np.ones((5, 1, 4)), spec(4)))["x"].shape == (5, 4)
    assert inputs_of(fit(np.ones((5, 2, 4)), spec(4)))["x"].shape == (5, 2, 4)


def test_only_inputs_of_floats_are_scaled() -> None:
    specs = [spec(1, 2), TensorSpec("ids", np.dtype("int64"), (None, 3))]
    raw = Raw([one_group({"x": np.ones((2, 1, 2)), "ids": np.ones((2, 3), int)})], None, "data")
    fitted = inputs_of(fit_to_model(raw, specs, Preprocess(divide=2)))
    assert (fitted["x"].max(), fitted["ids"].max()) == (0.5, 1)


TEXT = TensorSpec("x", np.dtype(object), (None, None))


@pytest.mark.parametrize("kind", [np.str_, object, np.bytes_])
def test_text_becomes_objects(kind: type) -> None:
    fitted = inputs_of(fit(np.array([["a", "bc"]], kind), TEXT))["x"]
    assert fitted.dtype == object
    assert fitted.tolist() == [["a", "bc"]]


@pytest.mark.parametrize("values", [[[1, 2]], [[b"\xff", b"a"]], np.array([["a", 1]], object)])
def test_other_things_are_no_text(values: ArrayLike) -> None:
    with pytest.raises(DataError, match=r"'x' holds .*, but the model takes text: give strings"):
        fit(values, TEXT)


def test_text_is_not_scaled() -> None:
    with pytest.raises(DataError, match="'x' takes text, and divide, mean and std make fractions"):
        fit([["a"]], TEXT, divide=2)


def test_groups_that_a_crop_makes_alike_are_joined() -> None:
    groups = [
        Group({"x": np.ones((2, 1, size, size))}, np.array(places))
        for size, places in ((4, [0, 2]), (6, [1, 3]))
    ]
    raw = Raw(groups, None, "data")
    (group,) = fit_to_model(raw, [spec(1, None, None)], Preprocess(crop=2)).groups
    assert group.inputs["x"].shape == (4, 1, 2, 2)
    assert group.places.tolist() == [0, 1, 2, 3]


def test_a_note_speaks_of_all_groups_once() -> None:
    groups = [
        Group({"x": np.full((1, size), value, np.uint8)}, np.array([place]))
        for place, (size, value) in enumerate(((2, 7), (3, 9)))
    ]
    (note,) = fit_to_model(Raw(groups, None, "data"), [spec(None)], Preprocess()).notes
    assert "fed as it is, 7 to 9" in note


@pytest.mark.parametrize("size", [(10**5, 10**5), 10**25])
def test_images_resized_to_more_than_memory_holds_are_refused(size: int | tuple[int, int]) -> None:
    raw = Raw([one_group({"x": np.ones((3, 1, 2, 2))})], None, "data")
    with pytest.raises(
        DataError, match=r"data resized to 1\d+x1\d+: 3 samples take .* memory allow"
    ):
        fit_to_model(raw, [spec(1, None, None)], Preprocess(resize=size), Limit(memory=10**9))
