"""Knows how the output channels of layers are split, and which of them can be."""

from onnx_evoq.model.splitting.split_channels import (
    ChannelReader,
    bytes_per_copy,
    channel_readers,
    channels_to_split,
    outlier_orders,
    splits_from_shares,
    with_split_channels,
)
from onnx_evoq.model.splitting.splittable import splittable_layers

__all__ = [
    "ChannelReader",
    "bytes_per_copy",
    "channel_readers",
    "channels_to_split",
    "outlier_orders",
    "splits_from_shares",
    "splittable_layers",
    "with_split_channels",
]
