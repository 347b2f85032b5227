"""Sets up a run: the float model, the grids, the calibration samples, and the resources."""

from onnx_evoq.setup.calibration import Calibration, prepare_calibration
from onnx_evoq.setup.drop import Drop, MaxDropCheck, drop_measure, max_drop_check, within
from onnx_evoq.setup.float_model import (
    FloatModel,
    check_all_float,
    computes_the_same,
    open_float_model,
    undo_inexact_folding,
)
from onnx_evoq.setup.grids import (
    DEFAULT_GRID,
    Granularities,
    Granularity,
    Grid,
    axis_of_steps,
    bits_of,
    nearest_of,
)
from onnx_evoq.setup.options import (
    MAX_ACTIVATION_BITS,
    MAX_BITS,
    MIN_BITS,
    check_bits,
    check_choices,
    check_kinds,
    check_limits,
    check_seed,
    check_whole,
)
from onnx_evoq.setup.samples import find_samples
from onnx_evoq.setup.score import Score, score_of, score_of_float_model
from onnx_evoq.setup.scoring import (
    OwnOutputs,
    ScoringSet,
    as_scored,
    model_value,
    points_of,
    run_on,
)
from onnx_evoq.setup.sessions import (
    DEFAULT_RESOURCES,
    Resources,
    cache_memory,
    not_finite,
    open_session,
    own_options,
    run_model,
    workers_of,
)
from onnx_evoq.setup.task import Task

__all__ = [
    "DEFAULT_GRID",
    "DEFAULT_RESOURCES",
    "MAX_ACTIVATION_BITS",
    "MAX_BITS",
    "MIN_BITS",
    "Calibration",
    "Drop",
    "FloatModel",
    "Granularities",
    "Granularity",
    "Grid",
    "MaxDropCheck",
    "OwnOutputs",
    "Resources",
    "Score",
    "ScoringSet",
    "Task",
    "as_scored",
    "axis_of_steps",
    "bits_of",
    "cache_memory",
    "check_all_float",
    "check_bits",
    "check_choices",
    "check_kinds",
    "check_limits",
    "check_seed",
    "check_whole",
    "computes_the_same",
    "drop_measure",
    "find_samples",
    "max_drop_check",
    "model_value",
    "nearest_of",
    "not_finite",
    "open_float_model",
    "open_session",
    "own_options",
    "points_of",
    "prepare_calibration",
    "run_model",
    "run_on",
    "score_of",
    "score_of_float_model",
    "undo_inexact_folding",
    "within",
    "workers_of",
]
