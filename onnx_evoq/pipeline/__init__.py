"""Quantizes a model by a strategy, and emits it: the steps of a job in their order."""

from onnx_evoq.pipeline.behind import reconstruct_behind
from onnx_evoq.pipeline.emission import (
    Form,
    Record,
    Storage,
    changed,
    emit,
    fixed_for,
    in_qonnx,
    metadata_of,
    off_their_grids,
    record_of,
    seal,
    with_own_outputs,
)
from onnx_evoq.pipeline.fine_tuning import FineTuned, fine_tune, from_nearest, from_reconstruction
from onnx_evoq.pipeline.guessed_inputs import fine_tune_if_fits_hold
from onnx_evoq.pipeline.placed import Placed
from onnx_evoq.pipeline.refine import equalize, evolve
from onnx_evoq.pipeline.start import Start, evolved_start
from onnx_evoq.pipeline.strategy import DEFAULT_STRATEGY, Strategy, StrategyName
from onnx_evoq.pipeline.target_choice import choose_target, granularities_for, notes_on_target

__all__ = [
    "DEFAULT_STRATEGY",
    "FineTuned",
    "Form",
    "Placed",
    "Record",
    "Start",
    "Storage",
    "Strategy",
    "StrategyName",
    "changed",
    "choose_target",
    "emit",
    "equalize",
    "evolve",
    "evolved_start",
    "fine_tune",
    "fine_tune_if_fits_hold",
    "fixed_for",
    "from_nearest",
    "from_reconstruction",
    "granularities_for",
    "in_qonnx",
    "metadata_of",
    "notes_on_target",
    "off_their_grids",
    "reconstruct_behind",
    "record_of",
    "seal",
    "with_own_outputs",
]
