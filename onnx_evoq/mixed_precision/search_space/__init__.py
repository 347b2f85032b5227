"""The choices of a mixed-precision search, as genomes of integers."""

from onnx_evoq.mixed_precision.search_space.build_space import (
    ChannelSplits,
    SearchSpaceOptions,
    build_space,
    find_splits,
)
from onnx_evoq.mixed_precision.search_space.policy import (
    Policy,
    apply_policy,
    expanded,
    policy_from,
)
from onnx_evoq.mixed_precision.search_space.space import (
    REFERENCE_WIDTH,
    SPLIT_SHARES,
    WIDTHS,
    Choice,
    Genome,
    Part,
    Space,
)

__all__ = [
    "REFERENCE_WIDTH",
    "SPLIT_SHARES",
    "WIDTHS",
    "ChannelSplits",
    "Choice",
    "Genome",
    "Part",
    "Policy",
    "SearchSpaceOptions",
    "Space",
    "apply_policy",
    "build_space",
    "expanded",
    "find_splits",
    "policy_from",
]
