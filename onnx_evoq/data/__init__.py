"""Read calibration data: npz and npy files, image folders, Python readers, synthetic inputs."""

from onnx_evoq.data.preprocess import CHANNELS, channels_last
from onnx_evoq.data.samples import Samples, split
from onnx_evoq.data.source import Data, Source, as_data, load_samples, refuse_preprocessing
from onnx_evoq.data.synthetic import (
    NO_DATA,
    Chosen,
    InputPlan,
    Noise,
    Positions,
    Values,
    Whole,
    draw,
)

__all__ = [
    "CHANNELS",
    "NO_DATA",
    "Chosen",
    "Data",
    "InputPlan",
    "Noise",
    "Positions",
    "Samples",
    "Source",
    "Values",
    "Whole",
    "as_data",
    "channels_last",
    "draw",
    "load_samples",
    "refuse_preprocessing",
    "split",
]
