"""Goes through a model from weight to weight, and gathers the columns of its layers."""

from onnx_evoq.engine.frontier.frontier import Ahead, Frontier
from onnx_evoq.engine.frontier.on_workers import SentAhead, SentFrontier
from onnx_evoq.engine.frontier.sent_samples import gather_on_workers

__all__ = ["Ahead", "Frontier", "SentAhead", "SentFrontier", "gather_on_workers"]
