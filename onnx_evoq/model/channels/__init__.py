"""Knows where the channels of layers flow: how they can be rescaled, and how they can be split."""

from onnx_evoq.model.channels.rescaling import ChannelGroups, channel_groups, rescaled
from onnx_evoq.model.channels.split_channels import (
    ChannelReader,
    bytes_per_copy,
    channel_readers,
    channels_to_split,
    outlier_orders,
    splits_from_shares,
    with_split_channels,
)
from onnx_evoq.model.channels.splittable import splittable_layers

__all__ = [
    "ChannelGroups",
    "ChannelReader",
    "bytes_per_copy",
    "channel_groups",
    "channel_readers",
    "channels_to_split",
    "outlier_orders",
    "rescaled",
    "splits_from_shares",
    "splittable_layers",
    "with_split_channels",
]
