"""An option that contradicts a target is refused by one sentence that names both."""

from typing import Any

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.targets import TARGETS, check_target, find_target

PLAIN: dict[str, Any] = {
    "activations": 8, "scale": "pow2", "activation_scale": "pow2", "granularity": "tensor",
    "storage": "auto", "form": "qdq",
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_eight_bits_with_the_defaults_suit_all_targets(name: str) -> None:
    target = find_target(name)
    check_target(target, **{**PLAIN, "form": target.forms[0]})


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("vitis", "scale", "float", "target vitis does not take scale float: choose pow2."),
        ("vitis", "granularity", "channel", "does not take granularity channel: choose tensor."),
        ("esp-dl", "activation_scale", "float", "does not take activation-scale float"),
        ("tensorrt", "activations", 4, "does not take activations 4: choose 8."),
        ("portable", "activations", 16, "does not take activations 16: choose 2 to 8."),
        ("qnn", "activations", 12, "does not take activations 12: choose 8 or 16."),
        ("portable", "storage", "int4", "does not take storage int4: choose int8."),
    ],
)
def test_what_a_target_does_not_take_is_refused(
    name: str, option: str, value: Any, message: str
) -> None:
    with pytest.raises(OptionError) as caught:
        check_target(find_target(name), **{**PLAIN, option: value})
    assert message in str(caught.value)
