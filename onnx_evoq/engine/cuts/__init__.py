"""The tensors at cuts through a model: of batches in this process, or with workers."""

from onnx_evoq.engine.cuts.batch_tensors import BatchTensors, run_on, specs_of
from onnx_evoq.engine.cuts.changes import Bases
from onnx_evoq.engine.cuts.cut_walk import Crossing, CutWalk
from onnx_evoq.engine.cuts.held_network import hold_network
from onnx_evoq.engine.cuts.scores import Behind, Expected, SentPart, WorkersPool

__all__ = [
    "Bases",
    "BatchTensors",
    "Behind",
    "Crossing",
    "CutWalk",
    "Expected",
    "SentPart",
    "WorkersPool",
    "hold_network",
    "run_on",
    "specs_of",
]
