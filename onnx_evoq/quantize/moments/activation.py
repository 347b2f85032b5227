"""The least-squares targets of a layer whose output an activation reads.

Relu gives 0 for every negative value. So where the float model's output t is negative, every
negative output y of the quantized layer is as good as t. Least squares should therefore fit,
instead of t,

    y       where both t and y lie on the same flat side of the activation,
    limit   where t lies on a flat side and y does not,
    t       everywhere else.

The error behind the activation is bounded by a sum: (y - t)^2 where t is not on a flat side, and
the squared distance from y to the flat side where t is. For the targets that follow from y, the sum
of (y' - target)^2 is never below the bound at y', and equals it at y' = y. So each round that
minimises that sum over y', and then takes the targets that follow from its result, lowers the bound
(majorization-minimisation). The error itself may rise a little: where t is not on a flat side and y
is, the bound counts more than the error. Without that nothing would lead y back.

LeakyRelu has a slope a below its limit instead of a flat side. There the target lies a^2 of the way
from y to t, which is nearly exact for small a.
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array


@dataclass(frozen=True)
class Activation:
    """An activation that clips its input: Relu, LeakyRelu, Clip and the like.

    Attributes:
        low: the lower limit, one number or (groups, 1, rows). The activation gives `low` for inputs
            below it, or ``low + alpha * (input - low)``.
        high: the upper limit, one number or (groups, 1, rows). The activation gives `high` for
            inputs above it.
        alpha: the slope below `low`, 0 for a flat side.
    """

    low: float | Float32Array = 0.0
    high: float | Float32Array = np.inf
    alpha: float = 0.0

    def targets(
        self, targets: Float32Array, outputs: Float32Array, shift: Float32Array | None = None
    ) -> Float32Array:
        """The targets that ask for no change that the activation hides, in the same shape.

        Args:
            targets: t, the outputs of the float layer, of any shape.
            outputs: y, the outputs of the quantized layer, in the same shape.
            shift: what the model adds to the layer's output before the activation (the other branch
                of a residual sum), in the same shape; None if it adds nothing.

        Example:
            >>> t, y = np.array([-2.0, -2.0, 3.0]), np.array([-1.0, 4.0, -1.0])
            >>> Activation().targets(t, y)
            array([-1.,  0.,  3.])
        """
        low, high = np.asarray(self.low, np.float32), np.asarray(self.high, np.float32)
        if shift is not None:
            low, high = low - shift, high - shift
        below = np.minimum(outputs, low)
        if self.alpha:
            slope = np.float32(self.alpha)
            nearer = outputs + slope**2 * (targets - outputs)
            below = np.where(outputs < low, nearer, low + slope * (targets - low))
        result = np.where(targets <= low, below, targets)
        if np.isfinite(self.high).any():
            result = np.where(targets >= high, np.maximum(outputs, high), result)
        return result
