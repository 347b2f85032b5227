"""The types of activations that are asked for agree with the target, or are refused."""

import pytest
from onnxruntime.quantization import QuantType

from onnx_evoq import OptionError
from onnx_evoq.drop_in.activation_type import ACTIVATION_BITS, check_type, name_of, target_of


def test_a_type_is_given_as_itself_or_by_name() -> None:
    assert name_of(QuantType.QInt16) == name_of("QInt16") == "QInt16"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(OptionError, match=r"activation_type QInt4 is not .* QInt16\.$"):
        check_type("activation_type", "QInt4", ACTIVATION_BITS)


@pytest.mark.parametrize(
    ("activation", "symmetric", "name"),
    [
        (None, None, "onnxruntime"),
        ("QUInt8", False, "onnxruntime"),
        ("QUInt16", None, "onnxruntime"),
        ("QInt8", None, "onnxruntime-arm"),
        ("QInt16", False, "onnxruntime-arm"),
        (None, True, "tensorrt"),
        ("QInt8", True, "tensorrt"),
    ],
)
def test_without_a_target_one_is_chosen(
    activation: str | None, symmetric: bool | None, name: str
) -> None:
    assert target_of(None, activation, symmetric).name == name


@pytest.mark.parametrize(
    ("name", "activation", "symmetric"),
    [
        ("openvino", None, None),
        ("openvino", "QUInt8", False),
        ("qnn", "QUInt16", None),
        ("portable", "QInt8", False),
        ("tensorrt", "QInt8", None),
        ("tensorrt", None, True),
        ("tidl", "QInt16", True),
    ],
)
def test_a_target_that_takes_the_type_is_kept(
    name: str, activation: str | None, symmetric: bool | None
) -> None:
    assert target_of(name, activation, symmetric).name == name


@pytest.mark.parametrize(
    ("name", "activation", "symmetric", "message"),
    [
        ("openvino", "QInt8", None, "QInt8 does not go with target openvino, which takes QUInt8:"),
        ("tensorrt", "QUInt8", None, "QUInt8 does not go with target tensorrt"),
        ("tensorrt", "QInt16", None, "which takes QInt8: leave one of them out"),
        ("qnn", "QInt16", None, "target qnn, which takes QUInt8 or QUInt16:"),
        ("openvino", None, True, "ActivationSymmetric True .* target openvino, whose .* unsigned"),
        ("portable", "QInt8", True, "ActivationSymmetric True does not go with target portable"),
        ("vitis", None, False, "ActivationSymmetric False .* target vitis, whose .* symmetric"),
        (None, "QUInt8", True, r"activation_type QUInt8: choose QInt8\.$"),
        (None, "QInt16", True, r"activation_type QInt16: choose QInt8, or target tidl or esp-dl"),
        ("elsewhere", None, None, "target 'elsewhere' is unknown"),
    ],
)
def test_a_target_that_does_not_take_the_type_is_refused(
    name: str | None, activation: str | None, symmetric: bool | None, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        target_of(name, activation, symmetric)
