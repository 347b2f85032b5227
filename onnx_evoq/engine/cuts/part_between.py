"""What lies between two cuts of a model whose weights change one by one."""

from collections.abc import Sequence

from onnx_evoq.array_types import Arrays
from onnx_evoq.engine.cuts.batch_tensors import specs_of
from onnx_evoq.model import Cut, Network, Runnable, bridge, cut_at, same


def same_prefix(one: Cut, other: Cut) -> bool:
    """Whether the parts before two cuts are the same, with the same values."""
    return one.prefix is not None and other.prefix is not None and same(one.prefix, other.prefix)


def part_between(model: Runnable, last: Cut, cut: Cut, known: Sequence[Arrays]) -> Network | None:
    """The part of a model from the tensors at one cut to those at a later one.

    Args:
        model: the model with its present weights.
        last: the earlier cut, through the model with the weights that it had then.
        cut: the later one.
        known: for each batch, the model's inputs and the tensors at the earlier cut.

    Returns:
        None if something before the earlier cut has changed, or if it is not the earlier one.
    """
    if last.prefix is None or not same_prefix(cut_at(model, *last.dtypes), last):
        return None
    return bridge(model, specs_of(known, last.prefix_outputs), cut.prefix_outputs)
