"""Combinations of sizes and values to try, the likeliest first.

1. Sizes of the open axes are combined by the sum of their places in the lists of what to try.
   Those that contradict what the graph computes are left out, unless all do.
2. For each combination, the values of the inputs are combined in the same way.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from onnx_evoq.data import InputPlan, Noise, Values
from onnx_evoq.setup.axes import Alternative, Layout, added_up
from onnx_evoq.signature import TensorSpec

_MOST_COMBINATIONS = 300  # of sizes, for one layout
_MOST_SECONDS = 3.0  # for these
_OTHER_VALUES = 2  # as likely as sizes so many places behind

Shapes = Mapping[str, tuple[int, ...]]  # of a sample of each input


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
    allowed = False
    choices = in_order_of_cost([len(group) for group in groups])
    for choice in islice(choices, _MOST_COMBINATIONS):
        picked = [group[index] for group, index in zip(groups, choice, strict=True)]
        sizes = added_up({name: size for each in picked for name, size in each.items()})
        shapes = None if sizes is None else layout.shapes(sizes)
        if shapes is None or shapes in seen:
            continue
        seen.append(shapes)
        if time.monotonic() > until or not contradicted(shapes):
            allowed = True
            yield shapes
    if not allowed:
        yield from seen[:1]


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
    waiting: list[Iterator[list[InputPlan]]] = []
    more = True
    while more:
        more = False
        for each in islice(shapes, _OTHER_VALUES):
            waiting.append(_plans_of_shapes(specs, each, values))
            yield from islice(waiting[-1], 1)
            more = True
        for plans in waiting:  # the next values for each of these shapes
            for plan in islice(plans, 1):
                yield plan
                more = True


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
