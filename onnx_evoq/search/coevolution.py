"""Cooperative coevolution of all codes of a network, those first whose values are least certain.

After Peng, Liu, Lu and Tang, "Training quantized deep neural networks via cooperative coevolution"
(arXiv 2112.14834): the codes of all layers are one discrete problem, far too large to be searched
at once; so the weights with the least confidence in their values are evolved as a group, while all
others stand as their context, again and again. Here:

1. The *context* c is the best network so far, one code per weight. A weight that moves by s, -1 or
   +1, costs p (1 + 2 s (c - a)) locally, more than its code does: a is the real number that the
   code should be, p a price. The cheaper of the two moves is the second-best code, and its cost the
   gap, which is the confidence in the code.
2. The group is the weights with the smallest gaps, of any layer. With g the largest of these, a
   candidate moves a weight up where z > up / g and down where z < -down / g, z normal: a
   categorical distribution over -1, 0 and +1, from one half for a move that costs nothing to .16
   for one that costs g. Candidates come in pairs with z and -z.
3. Candidates are ranked, and the better half selected with weights that fall with the rank
   (Hansen's), less the mean of all: e, the mean move of what was selected, is the evidence of the
   population on each weight, from as many joint candidates as there are.
4. It is tried at several lengths t: a weight moves where t e exceeds its cost / g. If one of these
   networks is better than the context, it becomes the context, and a moves by t g e / (2 p). Else
   only evidence against moves is kept.
5. So weights on which the population agrees *harden*: their gap grows beyond the group's, and
   others take their place. As the context changes, what was learnt is less and less true: each
   time, a returns by a small share to where it began, which *opens* weights again.
6. The group grows when the longest way was the best, and shrinks when none was.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float32Array, Float64Array
from onnx_evoq.search.operators import best_of
from onnx_evoq.search.strategy import check_told

LENGTHS = (3.0, 9.0, 27.0)
_GROWTH, _SHRINKING = 1.5, 1.2
_SMALLEST = 8  # codes in a group
_RETURN = 0.01  # share of what was learnt that is forgotten each time the context moves
_FINEST = 0.05  # share of the mean price that g is at least, where all of a group are ties
_TINY = 1e-12


class Coevolution:
    """Evolves the codes of a network together; the caller scores them.

    `ask` and `tell` alternate between two kinds of candidates: draws from the distribution, which
    may be scored on a few samples, the same for all of them; and then, while `deciding`, the
    context and what could follow it, to be scored as well as can be.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> search = Coevolution(
        ...     np.zeros(6, np.int8), -8, 7, np.ones(6), np.ones(6), 16, 6, rng)
        >>> for _ in range(60):
        ...     candidates = search.ask()
        ...     search.tell(candidates, np.array([np.abs(c - 2.0).sum() for c in candidates]))
        >>> search.best.tolist()
        [2, 2, 2, 2, 2, 2]

    Args:
        codes: where to start, (codes,), int8.
        low: smallest code, a number or (codes,).
        high: largest code, likewise.
        up: (codes,) what moving by +1 costs locally, so that codes of all layers compare.
        down: likewise for -1.
        population: candidates that are drawn at a time, at least 2.
        size: codes in the first group.
        rng: draws candidates.
    """

    def __init__(
        self,
        codes: Codes,
        low: int | NDArray[np.integer],
        high: int | NDArray[np.integer],
        up: Float32Array,
        down: Float32Array,
        population: int,
        size: int,
        rng: np.random.Generator,
    ) -> None:
        self.best = codes.copy()
        self.best_fitness = float("inf")
        self.deciding = True  # the start is scored first
        self._low, self._high = low, high
        self._price = np.maximum((up + down) / 2, _TINY).astype(np.float32)
        # up - down = 4 p (c - a)
        lean = ((down - up) / (4 * self._price)).clip(-0.5, 0.5)
        self._target = (codes + lean).astype(np.float32)
        self._first = self._target.copy()
        self._finest = _FINEST * float(self._price.mean())
        self._weights = recombination_weights(population)
        self._size = min(size, codes.size)
        self._rng = rng
        self._trials: list[Codes] = []
        self._asked: list[Codes] | None = None

    @property
    def gaps(self) -> Float32Array:
        """(codes,) the local cost of the second-best code of each weight: the confidence in it."""
        return np.minimum(*self._costs())

    def ask(self) -> list[Codes]:
        """The candidates to score, (codes,) each; while `deciding`, the context is the first."""
        self._asked = [self.best, *self._trials] if self.deciding else self._drawn()
        return self._asked

    def tell(self, candidates: Sequence[Codes], fitness: Float64Array) -> None:
        """Take the fitness of what `ask` gave.

        Args:
            candidates: those of the last `ask`.
            fitness: (candidates,); NaN is the worst.

        Raises:
            RuntimeError: nothing was asked for.
            ValueError: they are not the candidates that were asked for, with one fitness each.
        """
        check_told(self._asked, candidates, fitness)
        if self.deciding:
            self._decide(fitness)
        else:
            self._learn(fitness)
        self._asked, self.deciding = None, not self.deciding

    def _costs(self) -> tuple[Float32Array, Float32Array]:
        """(codes,) what +1 and -1 cost; nothing at least, infinite where there is no such code."""
        away = 2 * (self.best - self._target)
        up = np.where(self.best < self._high, (self._price * (1 + away)).clip(0), np.inf)
        down = np.where(self.best > self._low, (self._price * (1 - away)).clip(0), np.inf)
        return up.astype(np.float32), down.astype(np.float32)

    def _drawn(self) -> list[Codes]:
        up, down = self._costs()
        gaps = np.minimum(up, down)
        size = min(self._size, int(np.count_nonzero(np.isfinite(gaps))))
        # Among equals, others each time.
        ranked = gaps + 0.01 * self._finest * self._rng.random(gaps.size, np.float32)
        self._group = np.sort(np.argpartition(ranked, size - 1)[:size])
        self._scale = max(float(gaps[self._group].max()), self._finest)
        self._up, self._down = up[self._group] / self._scale, down[self._group] / self._scale
        count = len(self._weights)
        noise = self._rng.standard_normal((-(-count // 2), size), np.float32)
        noise = np.concatenate([noise, -noise])[:count]  # (candidates, size)
        self._steps = (noise > self._up).astype(np.int8) - (noise < -self._down)
        return [self._moved(steps) for steps in self._steps]

    def _learn(self, fitness: Float64Array) -> None:
        share = shared_weights(fitness, self._weights).astype(np.float32)
        self._evidence = share @ self._steps  # (size,)
        self._moves = [
            (t * self._evidence > self._up).astype(np.int8) - (t * self._evidence < -self._down)
            for t in LENGTHS
        ]
        self._trials = [self._moved(moves) for moves in self._moves]

    def _decide(self, fitness: Float64Array) -> None:
        (chosen,) = best_of(fitness, 1)
        if not self._trials:
            self.best_fitness = float(np.nan_to_num(fitness[0], nan=np.inf))
            return
        # What is given up early has a fitness of infinity, as the context may have.
        if chosen and fitness[chosen] < self.best_fitness:
            self.best_fitness = float(fitness[chosen])
            self.best = self._trials[chosen - 1]
            moves = self._moves[chosen - 1]
            self._lean(np.where(moves != 0, LENGTHS[chosen - 1], 1.0) * self._evidence)
            self._target += _RETURN * (self._first - self._target)
            if chosen == len(LENGTHS):
                self._size = min(int(self._size * _GROWTH) + 1, self.best.size)
        else:
            lean = self._target[self._group] - self.best[self._group]
            against = np.where(lean * self._evidence < 0, self._evidence, 0)
            self._lean(against, np.maximum(lean, 0), np.minimum(lean, 0))
            self._size = max(int(self._size / _SHRINKING), min(_SMALLEST, self.best.size))

    def _lean(
        self,
        evidence: Float32Array,
        most: Float32Array | float = 0.5,
        least: Float32Array | float = -0.5,
    ) -> None:
        """Let the evidence move the aims of the group, to a tie with the next code at most."""
        code = self.best[self._group]
        shift = self._scale * evidence / (2 * self._price[self._group])
        lean = self._target[self._group] + shift - code
        self._target[self._group] = code + np.clip(lean, least, most)

    def _moved(self, steps: NDArray[np.integer]) -> Codes:
        codes = self.best.copy()
        codes[self._group] += steps.astype(np.int8)
        return codes


def recombination_weights(count: int) -> Float64Array:
    """Weights of ranks, (count,), best first, that sum to nothing.

        log(count / 2 + 1/2) - log(rank) for the better half, scaled to a sum of 1; less 1 / count

    Example:
        >>> recombination_weights(4).round(2).tolist()
        [0.55, -0.05, -0.25, -0.25]
    """
    raw = np.log(count / 2 + 0.5) - np.log(np.arange(1, count + 1))
    return np.asarray(raw.clip(0) / raw.clip(0).sum() - 1 / count, np.float64)


def shared_weights(fitness: Float64Array, weights: Float64Array) -> Float64Array:
    """The weight of each candidate, by the rank of its fitness; equals share theirs.

    Example:
        >>> weights = recombination_weights(4)
        >>> shared_weights(np.array([5.0, 1.0, 5.0, np.nan]), weights).round(2).tolist()
        [-0.15, 0.55, -0.15, -0.25]
    """
    known = np.where(np.isnan(fitness), np.inf, fitness)
    _, rank, counts = np.unique(known, return_inverse=True, return_counts=True)
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), weights)
    return np.asarray((sums / counts)[rank], np.float64)
