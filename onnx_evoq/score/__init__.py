"""Knows ONNX Runtime: the only room that imports onnxruntime.

Sessions, predictions over samples, metrics, and the evaluator that scores candidates.
"""

from onnx_evoq.score.evaluator import Evaluator
from onnx_evoq.score.predict import choose_batch_size, predict
from onnx_evoq.score.race import COMPARED_AT, DOUBT, Race
from onnx_evoq.score.run_pool import RunPool
from onnx_evoq.score.session import SESSION_OPTIONS, Session
from onnx_evoq.score.tensor_store import TensorStore

__all__ = [
    "COMPARED_AT",
    "DOUBT",
    "SESSION_OPTIONS",
    "Evaluator",
    "Race",
    "RunPool",
    "Session",
    "TensorStore",
    "choose_batch_size",
    "predict",
]
