"""The second moments of a layer's columns and targets, and their means."""

from dataclasses import dataclass

from onnx_evoq.array_types import Float64Array


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of columns x and targets t.

    Attributes:
        hessian: H, (groups, columns, columns).
        cross: C, (groups, rows, columns).
        x_mean: E[x], (groups, columns); of several uses (uses, groups, columns).
        t_mean: E[t], (groups, rows); of several uses (uses, groups, rows).
        centred: whether the means are subtracted in H and C; of several uses, for each of them.
    """

    hessian: Float64Array
    cross: Float64Array
    x_mean: Float64Array
    t_mean: Float64Array
    centred: bool | tuple[bool, ...] = True

    @property
    def by_use(self) -> tuple[bool, ...]:
        """Whether the means are subtracted, for each use."""
        return self.centred if isinstance(self.centred, tuple) else (self.centred,)
