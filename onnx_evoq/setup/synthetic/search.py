"""Search for shapes and values with which a model runs, by trial runs.

1. Sizes of the open axes are combined, the likeliest first. Those that contradict what the graph
   computes come last.
2. For each combination, the values of the inputs are combined, the likeliest first.
3. The first inputs with which the model runs, and gives numbers, are taken.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.batch import fixed_batch_size, make_batches
from onnx_evoq.data import InputPlan, Noise, Values, draw
from onnx_evoq.errors import ModelError
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session
from onnx_evoq.setup.synthetic.layout import Layout
from onnx_evoq.setup.synthetic.sizes import Alternative, added_up
from onnx_evoq.signature import TensorSpec

MOST_RUNS = 30
_MOST_COMBINATIONS = 300  # of sizes, for one layout
_MOST_SECONDS = 3.0  # for these

Shapes = Mapping[str, tuple[int, ...]]  # of a sample of each input


@dataclass(frozen=True)
class Trial:
    """Inputs with which a model runs.

    Attributes:
        plans: the inputs.
        seconds: that the run took for a sample.
        gives_numbers: whether all outputs hold numbers, neither NaN nor infinity.
    """

    plans: list[InputPlan]
    seconds: float
    gives_numbers: bool


def in_order_of_cost(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Choices of one of so many alternatives each, by the sum of their indices.

    Example:
        >>> list(in_order_of_cost([2, 2]))
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """

    def with_sum(total: int, left: Sequence[int]) -> Iterator[tuple[int, ...]]:
        if not left:
            yield from [()] if total == 0 else []
            return
        for index in range(min(total, left[0] - 1) + 1):
            for rest in with_sum(total - index, left[1:]):
                yield (index, *rest)

    for total in range(sum(count - 1 for count in counts) + 1):
        yield from with_sum(total, counts)


def shapes_to_try(
    layout: Layout,
    groups: Sequence[Sequence[Alternative]],
    contradicted: Callable[[Shapes], bool],
) -> Iterator[Shapes]:
    """Shapes of the inputs, the likeliest first.

    Args:
        layout: the axes of the inputs.
        groups: the sizes to try for each group of axes.
        contradicted: whether what the graph computes does not allow some shapes.
    """
    until = time.monotonic() + _MOST_SECONDS
    seen: list[Shapes] = []
    last: list[Shapes] = []
    choices = in_order_of_cost([len(group) for group in groups])
    for choice in islice(choices, _MOST_COMBINATIONS):
        picked = [group[index] for group, index in zip(groups, choice, strict=True)]
        sizes = added_up({name: size for each in picked for name, size in each.items()})
        shapes = None if sizes is None else layout.shapes(sizes)
        if shapes is None or shapes in seen:
            continue
        seen.append(shapes)
        if groups and (time.monotonic() > until or contradicted(shapes)):
            last.append(shapes)
        else:
            yield shapes
    yield from last


def plans_to_try(
    specs: Sequence[TensorSpec],
    shapes: Iterator[Shapes],
    values: Callable[[TensorSpec, Shapes], list[Values]],
) -> Iterator[list[InputPlan]]:
    """Plans of all inputs, the likeliest first.

    Args:
        specs: the model's inputs.
        shapes: the shapes to try.
        values: the values to try for an input.
    """
    plans: list[Iterator[list[InputPlan]]] = []
    for _ in range(MOST_RUNS):
        plans += [_plans_of_shapes(specs, each, values) for each in islice(shapes, 1)]
        for of_shapes in plans:  # the next values for each of the first shapes
            yield from islice(of_shapes, 1)


def _plans_of_shapes(
    specs: Sequence[TensorSpec],
    shapes: Shapes,
    values: Callable[[TensorSpec, Shapes], list[Values]],
) -> Iterator[list[InputPlan]]:
    choices = {spec.name: values(spec, shapes) for spec in specs}
    # Noise in several inputs is changed together, all else by itself.
    groups: dict[str, list[str]] = {}
    for name, tried in choices.items():
        groups.setdefault("" if isinstance(tried[0], Noise) else name, []).append(name)
    counts = [max(len(choices[name]) for name in group) for group in groups.values()]
    for indices in in_order_of_cost(counts):
        chosen = {
            name: choices[name][min(index, len(choices[name]) - 1)]
            for group, index in zip(groups.values(), indices, strict=True)
            for name in group
        }
        yield [
            InputPlan(spec.name, spec.dtype, shapes[spec.name], chosen[spec.name]) for spec in specs
        ]


def first_that_runs(
    session: Session,
    specs: Sequence[TensorSpec],
    plans: Iterable[list[InputPlan]],
    most: int,
    deadline: Deadline,
) -> Trial | None:
    """The first inputs with which a model runs and gives numbers.

    Without such inputs, the first ones with which it runs at all, and None without these.

    Args:
        session: the model.
        specs: its inputs.
        plans: the inputs to try.
        most: how many of them, at most.
        deadline: after which no other ones are tried.
    """
    first: Trial | None = None
    for plan in islice(plans, most):
        inputs = draw(plan, 1, np.random.default_rng(0))
        size = fixed_batch_size(inputs, specs) or 1
        if size > 1:
            inputs = draw(plan, size, np.random.default_rng(0))
        (batch,) = make_batches(inputs, specs, size)
        began = time.monotonic()
        try:
            outputs = session.run(batch.feed)
        except (ModelError, MemoryError):
            outputs = None
        if outputs is not None:
            are_numbers = all(map(_are_numbers, outputs.values()))
            trial = Trial(plan, (time.monotonic() - began) / size, are_numbers)
            if are_numbers:
                return trial
            first = first or trial
        if deadline.passed:
            break
    return first


def _are_numbers(values: Array) -> bool:
    """Whether an output has values, and none of them is NaN or infinite."""
    return values.size > 0 and (values.dtype.kind != "f" or bool(np.isfinite(values).all()))
