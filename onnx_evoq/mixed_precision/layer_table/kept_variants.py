"""The variants of a layer that are kept, so that a search goes on behind them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.mixed_precision.layer_table.packed_values import packed, unpacked
from onnx_evoq.mixed_precision.search_space import SPLIT_SHARES
from onnx_evoq.quantize import LayerAtWidth
from onnx_evoq.record import Steps, set_state

_PARTS = ("bias", "costs")  # which are small

AllVariants = Sequence[Sequence[Sequence[LayerAtWidth]]]  # [granularity][split share][width]


def keep_variants(
    steps: Steps, name: str, variants: AllVariants, splits: int, random: dict[str, Any]
) -> None:
    """Keep the variants of a layer, and the state of the generator behind it.

    Args:
        steps: of the table of layers.
        name: of the layer's weight.
        variants: those of each granularity, split share and width.
        splits: how many split shares differ; the others repeat them.
        random: the state of the generator that draws positions (`record.state_of`).
    """
    arrays: dict[str, Array] = {}
    for place, of_granularity in enumerate(variants):
        for split, of_split in enumerate(of_granularity[:splits]):
            for width, variant in enumerate(of_split):
                parts = {part: getattr(variant, part) for part in _PARTS}
                parts |= packed(variant.values)
                label = f"{place} {split} {width}"
                arrays |= {f"{label} {part}": array for part, array in parts.items()}
    counts, shape = [len(variants), splits, len(variants[0][0])], variants[0][0][0].values.shape
    steps.save(name, arrays, counts=counts, shape=shape, random=random)


def kept_variants(steps: Steps, name: str, rng: np.random.Generator) -> AllVariants | None:
    """The variants that are kept; the generator then has the state behind them.

    Args:
        steps: of the table of layers.
        name: of the layer's weight.
        rng: draws positions.

    Returns:
        Those of each granularity, split share and width; None if they are not there.
    """
    kept = steps.load(name)
    if kept is None:
        return None
    set_state(rng, kept.facts["random"])
    granularities, splits, widths = kept.facts["counts"]

    def variant(*place: int) -> LayerAtWidth:
        label = " ".join(map(str, place)) + " "
        own = {n.removeprefix(label): a for n, a in kept.arrays.items() if n.startswith(label)}
        bias, costs = np.asarray(own["bias"], np.float32), np.asarray(own["costs"], np.float64)
        return LayerAtWidth(unpacked(own, tuple(kept.facts["shape"])), bias, costs)

    return [
        [[variant(g, split, w) for w in range(widths)] for split in range(splits)]
        * (len(SPLIT_SHARES) // splits)
        for g in range(granularities)
    ]
