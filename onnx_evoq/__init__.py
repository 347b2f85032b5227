"""Put an exported ONNX model on an N-bit fixed-point grid and search for the grid points that keep
its answers, scored by ONNX Runtime: no training framework, no gradients, no labels needed.
"""

# First, as it answers Ctrl-C while the libraries are imported.
from onnx_evoq import command_start as command_start
from onnx_evoq.api import (
    SearchSpace,
    c_header,
    evaluate,
    inspect,
    optimize,
    rank_sensitivity,
    search_and_optimize,
    search_bits,
    verify,
)
from onnx_evoq.data import Data
from onnx_evoq.drop_in import quantize_static
from onnx_evoq.errors import (
    BudgetError,
    ClusterError,
    DataError,
    EvoqError,
    MetricError,
    ModelError,
    OptionError,
    OutputError,
    StorageError,
)
from onnx_evoq.mixed_precision import ParetoPoint, Policy
from onnx_evoq.pipeline import Strategy
from onnx_evoq.report import (
    ActivationResult,
    Coverage,
    Evaluation,
    Inspection,
    LayerResult,
    MixedPrecision,
    OutputResult,
    Result,
    Search,
    Sensitivity,
    SensitivityRow,
    Uncovered,
    Verification,
    WeightInfo,
)
from onnx_evoq.run import History, Moment, Stopped, bars
from onnx_evoq.setup import Grid, Resources, Score

__all__ = [
    "ActivationResult",
    "BudgetError",
    "ClusterError",
    "Coverage",
    "Data",
    "DataError",
    "Evaluation",
    "EvoqError",
    "Grid",
    "History",
    "Inspection",
    "LayerResult",
    "MetricError",
    "MixedPrecision",
    "ModelError",
    "Moment",
    "OptionError",
    "OutputError",
    "OutputResult",
    "ParetoPoint",
    "Policy",
    "Resources",
    "Result",
    "Score",
    "Search",
    "SearchSpace",
    "Sensitivity",
    "SensitivityRow",
    "Stopped",
    "StorageError",
    "Strategy",
    "Uncovered",
    "Verification",
    "WeightInfo",
    "bars",
    "c_header",
    "evaluate",
    "inspect",
    "optimize",
    "quantize_static",
    "rank_sensitivity",
    "search_and_optimize",
    "search_bits",
    "verify",
]
