"""Cooperative coevolution of all codes of a network, with the least certain codes first.

After Peng, Liu, Lu and Tang, "Training quantized deep neural networks via cooperative coevolution"
(arXiv 2112.14834). The codes of all layers are one discrete problem, which is far too large to be
searched at once. So the codes with the smallest confidence evolve as a group, while all others stay
fixed as their context, again and again. Here:

1. The *context* c is the best network so far, one code per weight. Each weight has an *ideal code*
   a, a real number, and a price p. A move of its code by s, -1 or +1, costs p (1 + 2 s (c - a)): it
   makes the local error p (c - a)^2 larger by that. The cost of the cheaper move is the *confidence
   gap* between the code and the second-best code.
2. The group is the weights with the smallest gaps, of any layer. Let g be the largest gap in it. A
   candidate moves a code up where z > up / g, and down where z < -down / g, where up and down are
   the costs of the moves, and z is normal. This is a categorical distribution over -1, 0 and +1. A
   move has probability 1/2 if it costs nothing, and .16 if it costs g. Candidates come in pairs,
   with z and -z.
3. Candidates are ranked by fitness. The better half gets Hansen's recombination weights, which fall
   with the rank, and the mean over all candidates is subtracted. The weighted mean of the moves is
   the *evidence* e of the population on each weight, from all candidates at once.
4. A line search follows the evidence: for several lengths t, a code moves where t e exceeds the
   cost / g of the move. If one of these networks is better than the context, it becomes the
   context, and a moves by t g e / (2 p). Otherwise, only evidence against moves changes a.
5. So weights on which the population agrees become certain: their gap grows, and other weights take
   their place in the group. But evidence gets out of date when the context changes. So whenever it
   changes, a returns to its first value by a small share, which makes weights uncertain again.
6. The group grows if the longest step of the line search was the best, and shrinks if none was.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Arrays, Codes, Float32Array, Float64Array
from onnx_evoq.search.ask_tell import check_tell
from onnx_evoq.search.code_mutation import best_of

LENGTHS = (3.0, 9.0, 27.0)  # of the line search
_GROWTH, _SHRINKING = 1.5, 1.2
_SMALLEST_GROUP = 8  # codes
_RETURN = 0.01  # share of its way that the ideal code returns when the context changes
_SMALLEST_GAP = 0.05  # of g, as a share of the mean price: a group may consist of ties
_TINY_PRICE = 1e-12


class Coevolution:
    """Evolves the codes of all layers together; an `AskTell` with one objective, the fitness.

    Two kinds of candidates alternate. If `deciding` is false, they are drawn from the distribution,
    and may be scored on few samples, the same for all of them. If it is true, they are the context
    and the networks of the line search, and should be scored as exactly as possible.

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
        codes: the start, int8, (codes,).
        low: the smallest code, a number or (codes,).
        high: the largest code, a number or (codes,).
        up: (codes,), the local cost of a move by +1, comparable between layers.
        down: (codes,), the local cost of a move by -1.
        population: the number of candidates that are drawn at a time, at least 2.
        size: the number of codes in the first group.
        rng: draws candidates.

    Attributes:
        best: the context, (codes,).
        best_fitness: its fitness; infinite if it was not scored yet.
        deciding: whether the next candidates are those of the line search.
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
        self.deciding = True  # the start is the first candidate
        self._low, self._high = low, high
        self._price = np.maximum((up + down) / 2, _TINY_PRICE).astype(np.float32)
        # up + down = 2 p and up - down = 4 p (c - a)
        offset = ((down - up) / (4 * self._price)).clip(-0.5, 0.5)  # a - c
        self._ideal = (codes + offset).astype(np.float32)
        self._first_ideal = self._ideal.copy()
        self._smallest_gap = _SMALLEST_GAP * float(self._price.mean())
        self._weights = recombination_weights(population)
        self._size = min(size, codes.size)
        self._rng = rng
        self._successors: list[Codes] = []  # the networks of the line search, one per length
        self._asked: list[Codes] | None = None

    @property
    def gaps(self) -> Float32Array:
        """The confidence gap of each code, (codes,): the local cost of the cheaper move."""
        return np.minimum(*self._costs())

    @property
    def state(self) -> dict[str, Array]:
        """What the next generation depends on, as arrays by name, once the context is decided."""
        return {
            "context": self.best,
            "context fitness": np.array(self.best_fitness),
            "ideal codes": self._ideal,
            "group size": np.array(self._size),
        }

    def set_state(self, state: Arrays) -> None:
        """Go on from a state of a search with the same start."""
        self.best = np.asarray(state["context"], np.int8)
        self.best_fitness = float(state["context fitness"])
        self._ideal = np.asarray(state["ideal codes"], np.float32)
        self._size = int(state["group size"])
        self._asked, self.deciding = None, False

    def ask(self) -> list[Codes]:
        """Propose candidates, (codes,) each; if `deciding`, the first one is the context."""
        self._asked = [self.best, *self._successors] if self.deciding else self._drawn()
        return self._asked

    def tell(self, candidates: Sequence[Codes], fitness: Float64Array) -> None:
        """Learn from the fitness of drawn candidates, or decide whether the context changes.

        Args:
            candidates: all candidates of the last `ask`, in order.
            fitness: (candidates,), minimised; NaN is the worst.

        Raises:
            RuntimeError: there was no `ask` since the last `tell`.
            ValueError: the candidates are others, or there is not one fitness for each of them.
        """
        check_tell(self._asked, candidates, fitness)
        if self.deciding:
            self._decide(fitness)
        else:
            self._learn(fitness)
        self._asked, self.deciding = None, not self.deciding

    def _costs(self) -> tuple[Float32Array, Float32Array]:
        """The costs of +1 and of -1, (codes,) each: at least 0, infinite beyond the limits."""
        slope = 2 * (self.best - self._ideal)
        up = np.where(self.best < self._high, (self._price * (1 + slope)).clip(0), np.inf)
        down = np.where(self.best > self._low, (self._price * (1 - slope)).clip(0), np.inf)
        return up.astype(np.float32), down.astype(np.float32)

    def _drawn(self) -> list[Codes]:
        """Choose the group of the smallest gaps, and draw candidates that move its codes."""
        up, down = self._costs()
        gaps = np.minimum(up, down)
        size = min(self._size, int(np.count_nonzero(np.isfinite(gaps))))
        # A little noise, so that ties take turns.
        ranked = gaps + 0.01 * self._smallest_gap * self._rng.random(gaps.size, np.float32)
        self._group = np.sort(np.argpartition(ranked, size - 1)[:size])
        self._largest_gap = max(float(gaps[self._group].max()), self._smallest_gap)  # g
        self._up, self._down = (cost[self._group] / self._largest_gap for cost in (up, down))
        count = len(self._weights)
        noise = self._rng.standard_normal((-(-count // 2), size), np.float32)
        noise = np.concatenate([noise, -noise])[:count]  # (candidates, size)
        self._drawn_moves = (noise > self._up).astype(np.int8) - (noise < -self._down)
        return [self._with_moves(moves) for moves in self._drawn_moves]

    def _learn(self, fitness: Float64Array) -> None:
        """Compute the evidence of the drawn candidates, and the networks of the line search."""
        shares = shared_weights(fitness, self._weights).astype(np.float32)
        self._evidence = shares @ self._drawn_moves  # (size,)
        self._moves = [
            (t * self._evidence > self._up).astype(np.int8) - (t * self._evidence < -self._down)
            for t in LENGTHS
        ]
        self._successors = [self._with_moves(moves) for moves in self._moves]

    def _decide(self, fitness: Float64Array) -> None:
        """Take the best network of the line search as the context, if it is better."""
        (chosen,) = best_of(fitness, 1)  # 0: the context
        if not self._successors:
            self.best_fitness = float(np.nan_to_num(fitness[0], nan=np.inf))
            return
        # Candidates that a race gave up have an infinite fitness, and so may the context.
        if chosen and fitness[chosen] < self.best_fitness:
            self.best_fitness = float(fitness[chosen])
            self.best = self._successors[chosen - 1]
            moves = self._moves[chosen - 1]
            self._shift_ideal(np.where(moves != 0, LENGTHS[chosen - 1], 1.0) * self._evidence)
            self._ideal += _RETURN * (self._first_ideal - self._ideal)
            if chosen == len(LENGTHS):
                self._size = min(int(self._size * _GROWTH) + 1, self.best.size)
        else:
            offset = self._ideal[self._group] - self.best[self._group]
            against = np.where(offset * self._evidence < 0, self._evidence, 0)
            self._shift_ideal(against, np.maximum(offset, 0), np.minimum(offset, 0))
            self._size = max(int(self._size / _SHRINKING), min(_SMALLEST_GROUP, self.best.size))

    def _shift_ideal(
        self,
        evidence: Float32Array,
        most: Float32Array | float = 0.5,
        least: Float32Array | float = -0.5,
    ) -> None:
        """Move the ideal codes of the group by g e / (2 p).

        They stay between `least` and `most` from the code, at most 1/2: a tie with the next code.
        """
        code = self.best[self._group]
        shift = self._largest_gap * evidence / (2 * self._price[self._group])
        offset = self._ideal[self._group] + shift - code
        self._ideal[self._group] = code + np.clip(offset, least, most)

    def _with_moves(self, moves: NDArray[np.integer]) -> Codes:
        """The context with moved codes in the group."""
        codes = self.best.copy()
        codes[self._group] += moves.astype(np.int8)
        return codes


def recombination_weights(count: int) -> Float64Array:
    """The recombination weights of all ranks, (count,), best first; they sum to 0.

        log(count / 2 + 1/2) - log(rank) for the better half, scaled to a sum of 1; less 1 / count

    Example:
        >>> recombination_weights(4).round(2).tolist()
        [0.55, -0.05, -0.25, -0.25]
    """
    raw = np.log(count / 2 + 0.5) - np.log(np.arange(1, count + 1))
    return np.asarray(raw.clip(0) / raw.clip(0).sum() - 1 / count, np.float64)


def shared_weights(fitness: Float64Array, weights: Float64Array) -> Float64Array:
    """The weight of each candidate by the rank of its fitness, (candidates,); ties share theirs.

    Args:
        fitness: (candidates,); NaN is the worst.
        weights: (candidates,), the weight of each rank.

    Example:
        >>> weights = recombination_weights(4)
        >>> shared_weights(np.array([5.0, 1.0, 5.0, np.nan]), weights).round(2).tolist()
        [-0.15, 0.55, -0.15, -0.25]
    """
    ranked = np.where(np.isnan(fitness), np.inf, fitness)
    _, rank, counts = np.unique(ranked, return_inverse=True, return_counts=True)
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), weights)
    return np.asarray((sums / counts)[rank], np.float64)
