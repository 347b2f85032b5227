"""Knows which channels of layers can be rescaled, and which of them together."""

from onnx_evoq.model.channels.rescaling import ChannelGroups, channel_groups, rescaled

__all__ = ["ChannelGroups", "channel_groups", "rescaled"]
