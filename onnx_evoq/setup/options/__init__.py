"""Checks the numbers and names that options are given."""

from onnx_evoq.setup.options.checks import (
    MAX_ACTIVATION_BITS,
    MAX_BITS,
    MIN_BITS,
    check_activations,
    check_bits,
    check_choices,
    check_kinds,
    check_limits,
    check_seed,
    check_whole,
)

__all__ = [
    "MAX_ACTIVATION_BITS",
    "MAX_BITS",
    "MIN_BITS",
    "check_activations",
    "check_bits",
    "check_choices",
    "check_kinds",
    "check_limits",
    "check_seed",
    "check_whole",
]
