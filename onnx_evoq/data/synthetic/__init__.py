"""Draws synthetic inputs: noise, images, and whole numbers."""

from onnx_evoq.data.synthetic.draw import draw
from onnx_evoq.data.synthetic.plan import Chosen, InputPlan, Noise, Positions, Values, Whole

__all__ = ["Chosen", "InputPlan", "Noise", "Positions", "Values", "Whole", "draw"]
