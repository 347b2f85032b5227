"""Put an exported ONNX model on an N-bit fixed-point grid and search for the grid points that keep
its answers, scored by ONNX Runtime: no training framework, no gradients, no labels needed.
"""

from onnx_evoq.api import evaluate, inspect, optimize, rank_sensitivity, search_bits
from onnx_evoq.data import Data
from onnx_evoq.errors import EvoqError
from onnx_evoq.report import Evaluation, Inspection, Result, Search, Sensitivity
from onnx_evoq.run import bars

__all__ = [
    "Data",
    "Evaluation",
    "EvoqError",
    "Inspection",
    "Result",
    "Search",
    "Sensitivity",
    "bars",
    "evaluate",
    "inspect",
    "optimize",
    "rank_sensitivity",
    "search_bits",
]
