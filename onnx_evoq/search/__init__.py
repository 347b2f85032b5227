"""Knows search, in NumPy alone: it never sees ONNX, a session or a file."""

from onnx_evoq.search.neuroevolution import Neuroevolution
from onnx_evoq.search.operators import mutate, mutate_by_cost

__all__ = ["Neuroevolution", "mutate", "mutate_by_cost"]
