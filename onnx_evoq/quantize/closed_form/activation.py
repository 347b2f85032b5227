"""What an activation behind a layer lets through, and which of the layer's errors it hides.

Relu makes one of all negative values: where the float model's output t is negative, an output y
that is negative, too, is as good as t. So least squares should fit, instead of t,

    y       where t and y lie on the same flat side,
    limit   where only t lies there,
    t       elsewhere.

What is lost behind the activation is at most the sum of (y - t)^2 where t is let through, and of
the squared distance between y and the flat side where t lies there. The sum of (y' - target)^2 is
never below that bound of y', and equals it at y' = y: minimising it over y', and doing so again
with the y that came out, only lowers the bound (majorization and minimization). The loss itself may
rise a little: where t is let through and y is not, the bound counts more than is lost, or nothing
would lead y back.

Where a side is not flat but has a slope a, as LeakyRelu has, y has to come nearer to t by a^2 of
the way, and for small a the same is nearly true.
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array


@dataclass(frozen=True)
class Activation:
    """Relu, LeakyRelu, Clip and the like.

    Attributes:
        low: what is below becomes one, or is scaled by `alpha`.
        high: what is above becomes one.
        alpha: slope below `low`.
    """

    low: float = 0.0
    high: float = np.inf
    alpha: float = 0.0

    def targets(
        self, targets: Float32Array, outputs: Float32Array, shift: Float32Array | None = None
    ) -> Float32Array:
        """What `outputs` should become, so that no more changes than has to.

        Args:
            targets: what the float model gives.
            outputs: what there is, in the same shape.
            shift: what both are added to before they are clamped, likewise.

        Example:
            >>> t, y = np.array([-2.0, -2.0, 3.0]), np.array([-1.0, 4.0, -1.0])
            >>> Activation().targets(t, y)
            array([-1.,  0.,  3.])
        """
        low = np.float32(self.low) if shift is None else np.float32(self.low) - shift
        high = np.float32(self.high) if shift is None else np.float32(self.high) - shift
        below = np.minimum(outputs, low)
        if self.alpha:
            share = np.float32(self.alpha)
            nearer = outputs + share**2 * (targets - outputs)
            below = np.where(outputs < low, nearer, low + share * (targets - low))
        wanted = np.where(targets <= low, below, targets)
        if np.isfinite(self.high):
            wanted = np.where(targets >= high, np.maximum(outputs, high), wanted)
        return wanted
