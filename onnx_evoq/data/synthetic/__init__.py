"""Draws synthetic inputs: noise, images, and whole numbers."""

from onnx_evoq.data.synthetic.draw import draw
from onnx_evoq.data.synthetic.plan import (
    NO_DATA,
    Chosen,
    InputPlan,
    Noise,
    Positions,
    Values,
    Whole,
)

__all__ = ["NO_DATA", "Chosen", "InputPlan", "Noise", "Positions", "Values", "Whole", "draw"]
