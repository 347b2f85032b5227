"""The tensors at cuts through a model: of batches in this process, or with workers."""

from onnx_evoq.engine.cuts.batch_tensors import BatchTensors, run_on, specs_of
from onnx_evoq.engine.cuts.changes import Bases
from onnx_evoq.engine.cuts.cut_walk import Crossing, CutWalk
from onnx_evoq.engine.cuts.held_network import HeldNetwork, hold_network
from onnx_evoq.engine.cuts.part_between import part_between, same_prefix
from onnx_evoq.engine.cuts.scores import Behind, Expected, SentPart, WorkersPool
from onnx_evoq.engine.cuts.shards import HOMES, Shards
from onnx_evoq.engine.cuts.stage import Stage, look, tensors_at

__all__ = [
    "HOMES",
    "Bases",
    "BatchTensors",
    "Behind",
    "Crossing",
    "CutWalk",
    "Expected",
    "HeldNetwork",
    "SentPart",
    "Shards",
    "Stage",
    "WorkersPool",
    "hold_network",
    "look",
    "part_between",
    "run_on",
    "same_prefix",
    "specs_of",
    "tensors_at",
]
