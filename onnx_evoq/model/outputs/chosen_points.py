"""The tensors that a user chose to score a model at."""

import difflib
from collections.abc import Mapping, Sequence

from onnx import ModelProto

from onnx_evoq.errors import OptionError
from onnx_evoq.model.outputs.dependence import NOTHING, dependences
from onnx_evoq.model.outputs.scoring_points import ScoringPoints, find_scoring_points
from onnx_evoq.model.outputs.tensor_kinds import TensorKinds, tensor_kinds

_SIMILAR = 3  # names that an error offers


def chosen_points(
    model: ModelProto, weights: Sequence[str], names: Sequence[str], types: Mapping[str, str]
) -> ScoringPoints:
    """The points of these names.

    Args:
        model: a model as `load` returns it.
        weights: names of its weights.
        names: tensors that nodes of the main graph compute.
        types: as for `find_scoring_points`.

    Raises:
        OptionError: there is no such tensor, it holds no floats, or no weight has an effect on it.
    """
    names = tuple(dict.fromkeys(names))
    kinds, known = tensor_kinds(model).told(types), dependences(model, weights)
    computed = [name for node in model.graph.node for name in node.output if name]
    for name in names:
        if name not in computed:
            raise OptionError(
                f"score_at {name!r} is no tensor that a node of the model's main graph "
                f"computes{_similar(name, computed, kinds)}."
            )
        if kinds.is_float(name) is False:
            raise OptionError(
                f"score_at {name!r} holds no floats, so that it has no error: choose a tensor of "
                "floats before it."
            )
        if known[name].rows_vary and name not in kinds.fixed:
            raise OptionError(
                f"score_at {name!r} has rows that values choose, so that the rows of two models "
                "differ: choose a tensor before what chooses them."
            )
        if not known.get(name, NOTHING).weighted:
            raise OptionError(
                f"score_at {name!r} depends on no weight: choose a tensor behind the layers."
            )
    own = {value.name for value in model.graph.output}
    found = find_scoring_points(model, weights, types)
    return ScoringPoints(
        names,
        unlike=found.unlike,
        types={name: kinds.types.get(name, 0) for name in names if name not in own},
        untyped=tuple(name for name in names if kinds.is_float(name) is None),
        custom=tuple(name for name in names if known[name].custom),
        own_custom=found.own_custom,
    )


def _similar(name: str, computed: Sequence[str], kinds: TensorKinds) -> str:
    """The names of tensors of floats that look like one that is not there."""
    floats = [each for each in computed if kinds.is_float(each)]
    close = difflib.get_close_matches(name, floats, _SIMILAR) or floats[-_SIMILAR:]
    return f": choose {' or '.join(map(repr, close))}, for example" if close else ""
