"""Draws synthetic inputs with which a model runs."""

from onnx_evoq.setup.synthetic.inputs import synthetic_samples

__all__ = ["synthetic_samples"]
