"""The options of the commands, and the types of their values."""

from onnx_evoq.cli.options.command_options import (
    CHOICE_OPTIONS,
    OPTIMIZE_OPTIONS,
    SEARCH_OPTIONS,
    SPACE_OPTIONS,
    STRATEGY_OPTIONS,
    TARGET,
    WIDTH_OPTIONS,
)
from onnx_evoq.cli.options.option_types import BYTES, CONFIG, DURATION, NUMBERS
from onnx_evoq.cli.options.shared_options import (
    COMMON_OPTIONS,
    DATA_OPTIONS,
    GRANULARITY,
    GRID_OPTIONS,
    HOLDOUT,
    METRIC,
    MODEL,
    REPORT,
    REQUANTIZE,
    RESOURCE_OPTIONS,
    SCORE_AT,
    Command,
    stacked,
)

__all__ = [
    "BYTES",
    "CHOICE_OPTIONS",
    "COMMON_OPTIONS",
    "CONFIG",
    "DATA_OPTIONS",
    "DURATION",
    "GRANULARITY",
    "GRID_OPTIONS",
    "HOLDOUT",
    "METRIC",
    "MODEL",
    "NUMBERS",
    "OPTIMIZE_OPTIONS",
    "REPORT",
    "REQUANTIZE",
    "RESOURCE_OPTIONS",
    "SCORE_AT",
    "SEARCH_OPTIONS",
    "SPACE_OPTIONS",
    "STRATEGY_OPTIONS",
    "TARGET",
    "WIDTH_OPTIONS",
    "Command",
    "stacked",
]
