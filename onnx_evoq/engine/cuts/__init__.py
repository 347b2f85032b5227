"""The tensors at cuts through a model: of batches in this process, or with workers."""

from onnx_evoq.engine.cuts.batch_tensors import BatchTensors, run_on, specs_of
from onnx_evoq.engine.cuts.changes import Bases
from onnx_evoq.engine.cuts.cut_walk import Crossing, CutWalk
from onnx_evoq.engine.cuts.held_network import HeldNetwork, hold_network
from onnx_evoq.engine.cuts.scores import Behind, Expected, SentPart, WorkersPool
from onnx_evoq.engine.cuts.stage import SomeBatches, Stage, seen_at, tensors_at

__all__ = [
    "Bases",
    "BatchTensors",
    "Behind",
    "Crossing",
    "CutWalk",
    "Expected",
    "HeldNetwork",
    "SentPart",
    "SomeBatches",
    "Stage",
    "WorkersPool",
    "hold_network",
    "run_on",
    "seen_at",
    "specs_of",
    "tensors_at",
]
