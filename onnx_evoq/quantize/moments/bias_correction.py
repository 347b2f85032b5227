"""Bias correction: the bias takes up what quantization does to the mean of a layer's output.

For columns x and targets t, a layer with weights Q gives the mean Q E[x] + b. It is the targets'
mean for

    b = E[t] - Q E[x]

(Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
https://arxiv.org/abs/1906.04721; here with means from data).
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.moments.moments import Moments


def corrected_bias(matrix: Float64Array, moments: Moments) -> Float64Array:
    """The bias that keeps the mean output, E[t] - Q E[x].

    Args:
        matrix: the layer's weights as they will be, (groups, rows, columns).
        moments: means of the layer's columns and targets.

    Returns:
        (groups, rows), or (uses, groups, rows) for the moments of several uses; zero where the
        moments are not centred, as for a layer without a bias.
    """
    centred = np.array(moments.centred)  # () or (uses,)
    biases = moments.t_mean - (matrix @ moments.x_mean[..., None])[..., 0]
    return np.where(centred.reshape(*centred.shape, 1, 1), biases, 0.0)
