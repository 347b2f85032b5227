"""Bias correction: the mean of a layer's output stays."""

from dataclasses import replace

import numpy as np
from layer_problems import moments_with

from onnx_evoq.quantize.moments.bias_correction import corrected_bias
from onnx_evoq.quantize.moments.moment_sums import MomentSums


def test_the_bias_keeps_the_mean_worked_by_hand() -> None:
    # E[t] - W E[x] = 10 - (1 * 2 + 3 * 1)
    moments = replace(
        moments_with(np.eye(2)[None]), x_mean=np.array([[2.0, 1.0]]), t_mean=np.array([[10.0]])
    )
    assert corrected_bias(np.array([[[1.0, 3.0]]]), moments).tolist() == [[5]]
    assert corrected_bias(np.array([[[1.0, 3.0]]]), replace(moments, centred=False)).tolist() == [
        [0]
    ]


def test_the_mean_of_the_output_is_that_of_the_targets() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(2, 1, (1, 50, 3)), rng.normal(-1, 1, (1, 50, 2))
    sums = MomentSums(centred=True)
    sums.add(x.astype(np.float32), t.astype(np.float32))
    codes = np.array([[[1.0, -2.0, 0.0], [0.0, 3.0, 1.0]]])
    outputs = x @ codes.transpose(0, 2, 1) + corrected_bias(codes, sums.moments())[:, None]
    np.testing.assert_allclose(outputs.mean(axis=1), t.mean(axis=1), atol=1e-5)
