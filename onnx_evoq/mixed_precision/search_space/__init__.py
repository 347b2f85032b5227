"""The choices of a mixed-precision search, as genomes of integers."""

from onnx_evoq.mixed_precision.search_space.build_space import (
    ChannelSplits,
    SearchSpaceOptions,
    build_space,
    find_splits,
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
    "SearchSpaceOptions",
    "Space",
    "build_space",
    "find_splits",
]
