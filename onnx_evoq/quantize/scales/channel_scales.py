"""Cross-layer equalization with one scale for each channel, which minimises the rounding error.

The outputs of a layer may be scaled by s if the layers that read them are scaled by 1/s (Nagel et
al., 2019, arXiv 1906.04721). They balance the ranges of channels; here the scales minimise a model
of the rounding error itself. For a weight w of row o and column i, with scales s, with the power
h_i of the column that others do not explain (`unexplained_power`), and with the step d, rounding
adds the error

    E[e^2] = h_i w^2 K(log2(|w| s_o / (s_i d))),    K(v) = err(2^v) / 4^v

to the output of row o in the model that is not scaled. err(a) is the squared error of a number of a
steps: at most a^2 and 1/12, and the distance to the largest code beyond it. So K falls until the
codes end, and rises from there. What a row's error does to the end of the network is estimated from
the weights behind it: with r_o for row o,

    r_i = sum over the layers that read channel i, and their rows o, of r_o w_oi^2

An activation is one more layer (`activation_as_layer`): a row for each channel, with the values of
samples as its weights. Rounding x to the step d adds the error x^2 K(log2(|x| s_i / d)) to channel
i of the model that is not scaled, and it counts with r_i as well.

All scales are multiples of an eighth of an octave. With a step that is a power of two the scale of
a row makes it in effect any number; with a step per tensor, it gives each row a step of its own.
The sum of all errors falls in each pass over all layers: all output channels of a layer change at
once, since they depend on each other only through other channels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.scales.scaled_layer import ScaledLayer

_PER_OCTAVE = 8
_REACH = 12 * _PER_OCTAVE  # scales lie between 2^-12 and 2^12
_BINS = 64 * _PER_OCTAVE  # of log2 of weights in steps, 0 in the middle
_PASSES = 8
_ENTRIES = 128  # of each row and column that are looked at, about
# With a step for each row, only the scales of columns depend on how rows compare. The relevance is
# a rough estimate, and its fourth root gave less error on an EfficientNet-Lite0. With one step for
# all rows, the estimate itself is needed.
_ROWS_OF_OWN_STEP = 0.25
_LEAST_OUTPUT = 1e-30  # mean power
_TIE = 1e-9  # share of the error in which two scales are as good as each other
_MIN_GAIN = 1e-3  # share of the error that a pass must gain for another one to follow


def channel_scales(layers: Sequence[ScaledLayer], count: int) -> tuple[Float64Array, float]:
    """The scales of all channels, and how much of the rounding error is left.

    Args:
        layers: the layers, in the graph's order.
        count: number of scales.

    Returns:
        (count,) scales; and the estimated error as a share of that without scales.
    """
    relevance = _relevance(layers, count)
    logs = np.zeros(count + 1, np.intp)  # of the scales, in eighths of octaves; -1 stays 0
    states = [_State(layer, of_rows) for layer, of_rows in zip(layers, relevance, strict=True)]
    for state in states:
        state.choose_steps(logs)
    before = now = sum(state.error for state in states)
    parts = [(part, _touched(part, states, count)) for part in _parts(layers, count)]
    for _ in range(_PASSES):
        last = now
        for part, touched in parts:
            _rescale(part, touched, logs)
        now = sum(state.error for state in states)
        if not last - now > _MIN_GAIN * last:
            break
    return 2.0 ** (logs[:count] / _PER_OCTAVE), now / before if before > 0 else 1.0


def best_steps(layers: Sequence[ScaledLayer], scales: Float64Array) -> list[Float64Array]:
    """The steps of the least estimated error with some scales.

    Args:
        layers: the layers, in the graph's order.
        scales: (count,), as `channel_scales` gives them.

    Returns:
        For each layer, (groups, rows).
    """
    logs, steps = np.append(np.rint(_PER_OCTAVE * np.log2(scales)), 0).astype(np.intp), []
    for layer, of_rows in zip(layers, _relevance(layers, len(scales)), strict=True):
        state = _State(layer, of_rows)
        state.choose_steps(logs)
        steps.append(2.0 ** (state.steps / _PER_OCTAVE))
    return steps


def _relevance(layers: Sequence[ScaledLayer], count: int) -> list[Float64Array]:
    """For each layer, how much an error of each row adds to that of the end, (groups, rows).

    A row that no other layer reads counts by the power of its output. Rows with a step of
    their own differ less from each other (`_flattened`).
    """
    behind, result = np.zeros(count + 1), list[Float64Array]()
    for layer in reversed(layers):
        own = behind[layer.rows]
        own[layer.rows < 0] = 0
        # A row whose output is constant has no errors that count.
        output = np.broadcast_to(layer.output, own.shape)
        of_end = np.divide(1, output, out=np.zeros_like(own), where=output > _LEAST_OUTPUT)
        own = np.where(own > 0, own, of_end)
        behind += np.bincount(
            layer.columns.ravel() % (count + 1),
            (own[:, :, None] * layer.weight**2).sum(axis=1).ravel(),
            count + 1,
        )
        result.append(own if not layer.per_channel else _flattened(own))
    return result[::-1]


def _flattened(relevance: Float64Array) -> Float64Array:
    """Relevances of rows that are nearer to each other, with the same geometric mean."""
    if not (relevance > 0).all():  # the output is constant
        return relevance
    mean = np.exp(np.log(relevance).mean())
    return np.asarray(mean * (relevance / mean) ** _ROWS_OF_OWN_STEP)


def _parts(layers: Sequence[ScaledLayer], count: int) -> list[Indices]:
    """The scales of each layer's rows, joined where layers share some of them."""
    part_of = np.arange(count + 1)
    for layer in layers:
        rows = np.unique(layer.rows[layer.rows >= 0])
        if rows.size:
            own = np.unique(part_of[rows])
            part_of[np.isin(part_of, own)] = own[0]
    return [np.flatnonzero(part_of[:count] == part) for part in np.unique(part_of[:count])]


def _kernel(bits: int) -> Float64Array:
    """K for each bin."""
    logs = (np.arange(_BINS) - _BINS // 2) / _PER_OCTAVE
    size, largest = 2.0**logs, 2.0 ** (bits - 1) - 0.75
    error = np.minimum(size**2, 1 / 12) + np.maximum(size - largest, 0) ** 2
    return np.asarray(error / size**2)


class _State:
    """A layer with the steps of its rows, and its error with them.

    Of a large matrix only a part of the weights is looked at: those of a few diagonals, so that all
    rows and columns have about as many.
    """

    def __init__(self, layer: ScaledLayer, relevance: Float64Array) -> None:
        self.layer = layer
        groups, rows, columns = layer.weight.shape
        apart = max(1, min(rows, columns) // _ENTRIES)
        # In another order, so that no row is left with some taps of a kernel only.
        shuffled = np.random.default_rng(0).permutation(columns)
        at = np.nonzero(np.add.outer(np.arange(rows), shuffled) % apart == 0)
        group = np.arange(groups)[:, None]
        self._row = (group * rows + at[0]).ravel()  # of each weight that is looked at
        self._column = (group * columns + at[1]).ravel()
        size = np.abs(layer.weight)
        power = size**2 * layer.power[:, None]  # (groups, rows, columns)
        # A column that is nearly always 0 must not have weights that the others' grid cannot hold.
        power = np.maximum(power, layer.least_share * power.mean(axis=2, keepdims=True))
        counts = apart * layer.importance * relevance[:, :, None]
        self._power = (counts * power)[:, at[0], at[1]].ravel()
        logs = np.log2(np.maximum(size[:, at[0], at[1]].ravel(), 1e-30))
        self._logs = np.rint(logs * _PER_OCTAVE).astype(np.intp)
        self._kernel = _kernel(layer.bits)
        self.steps = np.zeros(layer.rows.shape, np.intp)  # log2, in eighths of octaves
        self.error = float("inf")

    def _by_row(self, logs: Indices) -> Float64Array:
        """(groups, rows, options): the error of each row by log2 of its scale by its step.

        The options lie between -2 _REACH and 2 _REACH.
        """
        bins = self._logs - logs[self.layer.columns].ravel()[self._column]
        first, options = -2 * _REACH, 4 * _REACH + 1
        errors = self._errors(bins, self._row, self.layer.rows.size, first, options)
        return errors.reshape(*self.layer.rows.shape, options)

    def _errors(
        self, bins: Indices, index: Indices, count: int, first: int, options: int
    ) -> Float64Array:
        """(count, options): the sums over the weights of each index if their bins are shifted.

        Args:
            bins: of the weights that are looked at.
            index: 0 to `count` - 1 for each of them; -1 for those that do not count.
            count: number of sums.
            first: the first shift.
            options: number of shifts.
        """
        counts = index >= 0
        index, bins, power = index[counts], bins[counts], self._power[counts]
        clipped = np.clip(bins + _BINS // 2, 0, _BINS - 1)
        low = int(clipped.min())
        used = int(clipped.max()) + 1 - low  # bins
        histogram = np.bincount(index * used + (clipped - low), power, count * used)
        shifted = np.arange(low + first, low + first + used + options - 1)
        kernels = sliding_window_view(self._kernel[np.clip(shifted, 0, _BINS - 1)], options)
        # BLAS takes no overlapping rows, so (used, options) is copied.
        return np.asarray(histogram.reshape(count, used) @ np.ascontiguousarray(kernels))

    def choose_steps(self, logs: Indices) -> None:
        """Choose the best steps for these scales, and find the error with them."""
        steps, scale = np.asarray(self._options()), logs[self.layer.rows]
        if self.layer.per_channel:
            at = scale[:, :, None] - steps + 2 * _REACH  # (groups, rows, steps)
            best = np.take_along_axis(self._by_row(logs), at, 2).argmin(axis=2)
        else:
            bins = self._logs + scale.ravel()[self._row]
            bins = bins - logs[self.layer.columns].ravel()[self._column]
            whole = np.zeros_like(self._row)
            by_shift = self._errors(bins, whole, 1, -_REACH, 2 * _REACH + 1)[0]
            best = by_shift[_REACH - steps].argmin()
        self.steps = np.broadcast_to(steps[best], self.layer.rows.shape)
        self.error = self.error_with(logs)

    def _options(self) -> range:
        return range(-_REACH, _REACH + 1, _PER_OCTAVE if self.layer.pow2 else 1)

    def error_with(self, logs: Indices) -> float:
        """The layer's error with these scales and the present steps."""
        bins = self._logs + (logs[self.layer.rows] - self.steps).ravel()[self._row]
        bins = bins - logs[self.layer.columns].ravel()[self._column]
        kernel = self._kernel[np.clip(bins + _BINS // 2, 0, _BINS - 1)]
        return float((self._power * kernel).sum())

    def errors_of(self, part: Indices, logs: Indices) -> Float64Array:
        """(scales, options): the errors of the layer's rows and columns that have these scales.

        The options are the logarithms from -_REACH to _REACH.
        """
        layer, options = self.layer, 2 * _REACH + 1
        total = np.zeros((len(part), options))
        place = np.full(len(logs), -1)
        place[part] = np.arange(len(part))
        rows, columns = place[layer.rows], place[layer.columns]
        if (rows >= 0).any() and layer.per_channel:
            _add(total, rows, self._best_steps(self._by_row(logs)))
        elif (rows >= 0).any():
            bins = self._logs - logs[layer.columns].ravel()[self._column]
            first = -_REACH - int(self.steps.flat[0])
            total += self._errors(bins, rows.ravel()[self._row], len(part), first, options)
        if (columns >= 0).any():
            bins = self._logs + (logs[layer.rows] - self.steps).ravel()[self._row]
            index = columns.ravel()[self._column]
            total += self._errors(bins, index, len(part), -_REACH, options)[:, ::-1]
        return total

    def _best_steps(self, errors: Float64Array) -> Float64Array:
        """(groups, rows, options): the least error of each row over all its steps."""
        period = _PER_OCTAVE if self.layer.pow2 else 1
        count = errors.shape[2] // period
        phases = errors[:, :, : count * period].reshape(*errors.shape[:2], count, period)
        lowest = phases.min(axis=2)  # of log2(scale) modulo an octave
        phase = (np.arange(-_REACH, _REACH + 1) + 2 * _REACH) % period
        return np.asarray(lowest[:, :, phase])


def _add(total: Float64Array, place: Indices, errors: Float64Array) -> None:
    """Add errors, (groups, number, options), to the rows of `total` at their places that are >= 0.

    They are sorted by place, and summed between one place and the next.
    """
    found = np.flatnonzero(place.ravel() >= 0)
    order = found[np.argsort(place.ravel()[found], kind="stable")]
    places, starts = np.unique(place.ravel()[order], return_index=True)
    total[places] += np.add.reduceat(errors.reshape(place.size, -1)[order], starts)


def _touched(part: Indices, states: Sequence[_State], count: int) -> list[_State]:
    """The layers that some of these scales belong to."""
    own = np.zeros(count + 1, bool)  # the last one, at -1, stays False
    own[part] = True
    return [s for s in states if own[s.layer.rows].any() or own[s.layer.columns].any()]


def _rescale(part: Indices, touched: Sequence[_State], logs: Indices) -> None:
    """Choose the scales of one part anew, if that lowers the error of the layers with them."""
    if not touched:
        return
    before, old = logs[part], [(state.steps, state.error) for state in touched]
    totals = np.sum([state.errors_of(part, logs) for state in touched], axis=0)
    # Of all that are as good (with a step per row, each is, an octave on), the nearest is taken.
    good = totals <= totals.min(axis=1, keepdims=True) * (1 + _TIE)
    options = np.arange(-_REACH, _REACH + 1)
    distance = np.where(good, np.abs(options - before[:, None]), 4 * _REACH)
    logs[part] = options[distance.argmin(axis=1)]
    for state in touched:
        state.choose_steps(logs)
    if not sum(state.error for state in touched) < sum(error for _, error in old):
        logs[part] = before
        for state, (steps, error) in zip(touched, old, strict=True):
            state.steps, state.error = steps, error
