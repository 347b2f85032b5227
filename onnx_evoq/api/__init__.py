"""The public functions; each reads from top to bottom as the list of its steps."""

from onnx_evoq.api.c_header import c_header
from onnx_evoq.api.evaluation import evaluate, verify
from onnx_evoq.api.inspect import inspect
from onnx_evoq.api.job import DataSource, ModelSource
from onnx_evoq.api.optimize import optimize
from onnx_evoq.api.rank_sensitivity import rank_sensitivity
from onnx_evoq.api.search_and_optimize import search_and_optimize
from onnx_evoq.api.search_bits import SearchSpace, search_bits

__all__ = [
    "DataSource",
    "ModelSource",
    "SearchSpace",
    "c_header",
    "evaluate",
    "inspect",
    "optimize",
    "rank_sensitivity",
    "search_and_optimize",
    "search_bits",
    "verify",
]
