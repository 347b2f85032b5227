"""The second moments of columns and targets."""

from dataclasses import replace

import numpy as np
from layer_problems import moments_with


def test_moments_are_centred_for_each_use_of_a_weight() -> None:
    moments = moments_with(np.eye(2)[None])
    assert moments.by_use == (True,)
    assert replace(moments, centred=False).by_use == (False,)
    assert replace(moments, centred=(True, False)).by_use == (True, False)
