"""The arrays of samples that all have one shape."""

from onnx_evoq.array_types import Arrays
from onnx_evoq.data import Samples
from onnx_evoq.data.reading import Raw


def inputs_of(samples: Samples | Raw) -> Arrays:
    """The inputs of samples of one shape, by name."""
    (group,) = samples.groups
    return group.inputs
