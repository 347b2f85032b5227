"""Knows where the channels of layers go: how they can be scaled, and split."""

from onnx_evoq.model.channels.rescaling import ChannelGroups, channel_groups, rescaled
from onnx_evoq.model.channels.split_channels import (
    Reader,
    bytes_per_copy,
    first_of,
    outliers,
    readers_of,
    splits_of,
    with_split_channels,
)
from onnx_evoq.model.channels.splittable import splittable_layers

__all__ = [
    "ChannelGroups",
    "Reader",
    "bytes_per_copy",
    "channel_groups",
    "first_of",
    "outliers",
    "readers_of",
    "rescaled",
    "splits_of",
    "splittable_layers",
    "with_split_channels",
]
