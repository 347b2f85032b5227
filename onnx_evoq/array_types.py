"""The types of arrays in the whole package."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]
Arrays: TypeAlias = Mapping[str, Array]  # by the name of a tensor
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int8]  # of a quantized weight: its values are step * codes
Indices: TypeAlias = NDArray[np.intp]
