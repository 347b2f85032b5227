"""Find the tensors at which a model is scored: its outputs, or what the rest is chosen from.

An error at an output is a difference of numbers. There is none where the quantized model has other
rows than the float model, or where an output is a sequence, a map, or holds strings; and little can
be learnt where values were rounded, ordered or selected. Such an output is followed back to the
nearest tensors of floats with rows of their own: boxes and scores before NonMaxSuppression, class
probabilities before ArgMax and ZipMap, a picture before its Cast to uint8.

1. An output that cannot be compared gives way to these tensors. One that no input has an effect on
   (a version, a table of anchors) is left out, unless all are so.
2. One of whole numbers does so if they say something that the other points do not.
3. One of floats that jump gives way to them only if they depend on all the weights that it does:
   behind a selection of queries, a whole decoder may follow.
4. Of tensors that can be had from each other (a view, a Softmax), the last one stays.
5. A tensor that follows from other points is left out if it is no output; so is one from which a
   layer computes another point, which sees its errors.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from onnx_evoq.model.graph import reads
from onnx_evoq.model.outputs.dependence import NOTHING, Dependence, dependences
from onnx_evoq.model.outputs.operators import FLOATS, is_invertible
from onnx_evoq.model.outputs.tensor_kinds import TensorKinds, tensor_kinds

_NO_TENSOR = "no tensor"
_STRINGS = "strings"
_ROWS = "rows that values choose"
_WHOLE = "no floats"
_JUMPS = "selected, ordered or rounded"
_CUSTOM = "behind a custom operator"
_CONSTANT = "the same for all inputs"


@dataclass(frozen=True)
class ScoringPoints:
    """The tensors at which a model is scored.

    Attributes:
        names: the tensors, in the order of the outputs that they stand for.
        instead: the outputs that they stand for, each with the reason why it is not compared.
        unlike: the outputs that have no array of one shape for each sample.
        types: the element types of the tensors that are no outputs, as ONNX numbers them.
        untyped: tensors that would be points if they held floats, which is not known.
        custom: those of `names` behind a custom operator: only a run shows whether rows vary.
        own_custom: likewise the outputs of the model.
    """

    names: tuple[str, ...]
    instead: Mapping[str, str] = field(default_factory=dict)
    unlike: tuple[str, ...] = ()
    types: Mapping[str, int] = field(default_factory=dict)
    untyped: tuple[str, ...] = ()
    custom: tuple[str, ...] = ()
    own_custom: tuple[str, ...] = ()


def find_scoring_points(
    model: ModelProto,
    weights: Sequence[str],
    types: Mapping[str, str] | None = None,
    varying: Collection[str] = (),
) -> ScoringPoints:
    """Find the tensors at which a model is scored: its outputs, where these can be compared.

    Args:
        model: a model as `load` returns it.
        weights: names of its weights.
        types: of tensors that were `untyped`, NumPy's names of the types; empty for no floats.
        varying: tensors whose rows were found to vary, or that cannot be computed.

    Returns:
        The points. There are none if no output can be compared, and nothing lies before them.
    """
    return _Finder(model, weights, types or {}, varying).points()


class _Finder:
    """Finds the points of one model, with what it must know of the whole graph."""

    def __init__(
        self,
        model: ModelProto,
        weights: Sequence[str],
        types: Mapping[str, str],
        varying: Collection[str],
    ) -> None:
        self._model, self._told, self._untyped = model, types, dict[str, None]()
        self._varying = varying
        self._known = dependences(model, weights, varying=varying)
        if any(each.rows_vary for each in self._known.values()):
            fixed = self._kinds.fixed - set(varying)
            self._known = dependences(model, weights, fixed, varying)
        self._makers: dict[str, NodeProto] = {}
        self._places: dict[str, int] = {}  # in the graph's order
        for index, node in enumerate(model.graph.node):
            self._makers.update(dict.fromkeys(node.output, node))
            self._places.update(dict.fromkeys(node.output, index))

    @cached_property
    def _kinds(self) -> TensorKinds:
        return tensor_kinds(self._model).told(self._told)

    def points(self) -> ScoringPoints:
        """The points of the model."""
        outputs = {value.name: value for value in self._model.graph.output}
        reasons = {name: self._reason(value) for name, value in outputs.items()}
        constant = [name for name in outputs if not self._of(name).varies]
        if len(constant) < len(outputs):
            reasons |= dict.fromkeys(constant, _CONSTANT)
        kept = [name for name, reason in reasons.items() if reason is None]
        unlike = tuple(
            name
            for name, reason in reasons.items()
            if reason is _NO_TENSOR or self._of(name).rows_vary
        )
        found: dict[str, list[str]] = {name: [] for name in outputs}
        for name, reason in reasons.items():
            if reason not in (None, _WHOLE, _CONSTANT):
                start = [name] if reason is _JUMPS else self._before(name, jumping=True)
                found[name] = [point for entry in start for point in self._smooth(entry)]
        chosen = self._needed([p for points in found.values() for p in points], kept)
        for name in (name for name, reason in reasons.items() if reason is _WHOLE):
            entries = self._before(name, jumping=True)
            found[name] = [point for entry in entries for point in self._smooth(entry)]
            chosen += self._needed(found[name], [*kept, *chosen])
        instead = {
            name: reason
            for name, reason in reasons.items()
            if reason is not None
            and name not in chosen
            and (reason is not _WHOLE or not {*found[name]}.isdisjoint(chosen))
        }
        if not instead:
            return self._made(list(outputs), {}, unlike)
        names = [
            point
            for name in outputs
            for point in ([name] if name in kept else sorted(found[name], key=self._place))
            if point in kept or point in chosen
        ]
        names = [name for name in names if self._of(name).weighted] or names
        if not names:  # all that can be compared are whole numbers
            names = [n for n, reason in reasons.items() if reason is _WHOLE and n not in unlike]
        return self._made(names, instead, unlike)

    def _made(
        self, names: Iterable[str], instead: Mapping[str, str], unlike: tuple[str, ...]
    ) -> ScoringPoints:
        own = [value.name for value in self._model.graph.output]
        names = tuple(dict.fromkeys(names))
        return ScoringPoints(
            names,
            instead,
            unlike,
            {name: self._type(name) or TensorProto.FLOAT for name in names if name not in own},
            tuple(self._untyped),
            *(tuple(name for name in some if self._of(name).custom) for some in (names, own)),
        )

    def _reason(self, output: ValueInfoProto) -> str | None:
        """Why an output is not compared; None if it is."""
        kind, depends = output.type, self._of(output.name)
        if not kind.HasField("tensor_type"):
            return _NO_TENSOR
        if kind.tensor_type.elem_type == TensorProto.STRING:
            return _STRINGS
        if depends.rows_vary:
            return _CUSTOM if depends.custom and self._varying else _ROWS
        if kind.tensor_type.elem_type not in FLOATS:
            return _WHOLE
        return _JUMPS if depends.jumps else None

    def _of(self, name: str) -> Dependence:
        return self._known.get(name, NOTHING)

    def _place(self, name: str) -> int:
        return self._places.get(name, -1)

    def _type(self, name: str) -> int | None:
        return self._kinds.types.get(name)

    def _before(self, name: str, *, jumping: bool) -> list[str]:
        """The nearest tensors on the way back that hold floats in rows that do not vary.

        Args:
            name: the tensor from which the way begins.
            jumping: whether their values may jump.
        """
        entries, seen, ahead = list[str](), {name}, [name]
        while ahead:
            for read in self._read_for(ahead.pop()):
                depends = self._of(read)
                if read in seen or not depends.weighted:
                    continue
                seen.add(read)
                enters = not depends.rows_vary and (jumping or not depends.jumps)
                kind = self._type(read) if enters else None
                if enters and kind is None:
                    self._untyped[read] = None
                if kind in FLOATS:
                    entries.append(read)
                else:
                    ahead.append(read)
        return sorted(entries, key=self._place)

    def _smooth(self, name: str) -> list[str]:
        """A tensor, or the tensors before it whose values do not jump, if no weight is lost."""
        if not self._of(name).jumps:
            return [name]
        entries, seen = self._before(name, jumping=False), 0
        for entry in entries:
            seen |= self._of(entry).weights
        return entries if entries and not self._of(name).weights & ~seen else [name]

    def _needed(self, candidates: Iterable[str], others: Sequence[str]) -> list[str]:
        """Those of some tensors that do not follow from each other, or from other points."""
        roots = {self._root(name) for name in others}
        last: dict[str, str] = {}
        for name in sorted(set(candidates), key=self._place):
            if self._root(name) not in roots:
                last[self._root(name)] = name
        for name in sorted(last.values(), key=self._place, reverse=True):
            own = self._root(name)
            if self._follows(name, roots | last.keys() - {own}):
                del last[own]
        return [
            n
            for n in last.values()
            if not any(self._enters(n, p) for p in {*last.values(), *others})
        ]

    def _enters(self, name: str, point: str) -> bool:
        """Whether a tensor enters a layer that a point is computed by."""
        near = self._back(point, layers=False)
        return name != point and name not in near and name in self._back(point, layers=True)

    def _back(self, name: str, *, layers: bool) -> set[str]:
        """The tensors that a tensor is computed from, beyond layers or not."""
        seen, ahead = set[str](), [name]
        while ahead:
            read = self._read_for(ahead.pop())
            if layers or not any(self._of(n).weights and not self._of(n).varies for n in read):
                ahead.extend(read - seen)
                seen |= read
        return seen

    def _read_for(self, name: str) -> set[str]:
        """The tensors that a tensor is computed from by one node; a class, from its scores."""
        maker = self._makers.get(name)
        if maker is None:
            return set()
        if maker.op_type.endswith("Classifier") and name == maker.output[0]:
            return {maker.output[1]}
        return reads(maker)

    def _follows(self, name: str, roots: Collection[str]) -> bool:
        """Whether a tensor can be computed from some others, without a weight."""
        seen, ahead = {name}, [name]
        while ahead:
            for read in self._read_for(ahead.pop()):
                depends = self._of(read)
                if depends.weights and not depends.varies:
                    return False  # a weight
                if depends.weighted and read not in seen and self._root(read) not in roots:
                    seen.add(read)
                    ahead.append(read)
        return True

    def _root(self, name: str) -> str:
        """The first tensor of a chain whose last one is `name`, each of which tells the others."""
        maker = self._makers.get(name)
        while maker is not None and is_invertible(maker):
            name = maker.input[0]
            maker = self._makers.get(name)
        return name
