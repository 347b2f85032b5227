"""Knows calibration data: npz and npy files, image folders, Python readers, synthetic inputs."""

from onnx_evoq.data.samples import Samples, split
from onnx_evoq.data.source import Data, load_samples
from onnx_evoq.data.synthetic import synthetic_samples

__all__ = ["Data", "Samples", "load_samples", "split", "synthetic_samples"]
