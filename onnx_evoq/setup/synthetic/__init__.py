"""Loads samples, or draws synthetic inputs with which a model runs."""

from onnx_evoq.setup.synthetic.samples import find_samples

__all__ = ["find_samples"]
