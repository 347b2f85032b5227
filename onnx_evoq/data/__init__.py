"""Read calibration data: npz and npy files, image folders, Python readers, synthetic inputs."""

from onnx_evoq.data.samples import Samples, split
from onnx_evoq.data.source import Data, Source, as_data, load_samples

__all__ = [
    "Data",
    "Samples",
    "Source",
    "as_data",
    "load_samples",
    "split",
]
