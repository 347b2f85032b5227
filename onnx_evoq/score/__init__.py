"""Run models in ONNX Runtime, and score candidates. No other room imports onnxruntime.

It holds sessions, predictions over batches, and the evaluator and the race that score candidates.
"""

from onnx_evoq.score.evaluator import Evaluator
from onnx_evoq.score.integer_graph import IntegerTensor, placed
from onnx_evoq.score.model_part import BatchRun, ModelPart, Values
from onnx_evoq.score.predict import choose_batch_size, keeps_rows_apart, predict
from onnx_evoq.score.race import DOUBT, Race
from onnx_evoq.score.racing import COMPARED_AT
from onnx_evoq.score.run_pool import RunPool
from onnx_evoq.score.session import SESSION_OPTIONS, Session
from onnx_evoq.score.tensor_store import Block, TensorStore

__all__ = [
    "COMPARED_AT",
    "DOUBT",
    "SESSION_OPTIONS",
    "BatchRun",
    "Block",
    "Evaluator",
    "IntegerTensor",
    "ModelPart",
    "Race",
    "RunPool",
    "Session",
    "TensorStore",
    "Values",
    "choose_batch_size",
    "keeps_rows_apart",
    "placed",
    "predict",
]
