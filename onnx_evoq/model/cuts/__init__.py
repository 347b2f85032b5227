"""Knows how to cut a graph at weights, and to make models of its parts."""

from onnx_evoq.model.cuts.cut import Cut, bridge, cut_at, frontier_before, suffix, uncut

__all__ = ["Cut", "bridge", "cut_at", "frontier_before", "suffix", "uncut"]
