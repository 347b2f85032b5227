"""Choose which of the tensors that can be computed become initializers, and name them.

1. What a node reads that is no constant itself becomes one. What quantized nodes alone read stays.
2. Tensors that are views of the same values become one initializer, and stay views of it, if there
   are several of more than 1,024 values: a table that is read as it is, and transposed, is held
   once.
3. What is larger than all that it comes from becomes one only if that holds more than numbers,
   indices and flags: a table that a formula gives is not written down.
4. All that is no weight may take twice the bytes that it comes from.

An initializer has the name of the tensor that it replaces. If it comes from one initializer that
is no longer needed, and that has at least half as many values, it has the name of that one.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from onnx import GraphProto, TensorProto

from onnx_evoq.model.constants.computed import FEW_VALUES, Constants
from onnx_evoq.model.constants.node_outputs import is_sequence
from onnx_evoq.model.graph import all_nodes, is_quantized, unused_name, walk

_CODES = "_quantized"  # with which the names of codes end
_INDICES = (TensorProto.INT64, TensorProto.BOOL)


@dataclass(frozen=True)
class Choice:
    """What becomes an initializer, and what else the graph still needs.

    Attributes:
        folded: the tensors that become initializers, each with its name as one.
        needed: the names of all tensors that nodes or outputs of the folded graph read, those of
            `folded` by their old names.
    """

    folded: dict[str, str]
    needed: frozenset[str]


def choose(
    graph: GraphProto, constants: Constants, used: Collection[str], leave: Collection[str]
) -> Choice:
    """Apply the rules above.

    Args:
        graph: the main graph.
        constants: its constants.
        used: all names of the model.
        leave: names of initializers that shall not come to be.
    """
    folded = _worthwhile(graph, constants)
    named = _named(graph, constants, folded, used)
    if leave:
        folded = [name for name in folded if named[name] not in leave]
        named = {**_named(graph, constants, folded, used), **{n: named[n] for n in folded}}
    return Choice(named, frozenset(needed(graph, constants, folded)))


def stands_for(name: str, constants: Constants, folded: Collection[str]) -> str:
    """The tensor that nodes read in place of `name` once some have become initializers."""
    same = constants.same_as(name)
    return same if same in folded or same in constants.tensors else name


def needed(graph: GraphProto, constants: Constants, folded: Collection[str]) -> set[str]:
    """The names of all tensors that are read once some of them have become initializers."""
    names = {
        stands_for(value.name, constants, folded) for each in walk(graph) for value in each.output
    }
    for node in reversed(list(all_nodes(graph))):
        if constants.computed.keys().isdisjoint(node.output) or is_kept(
            node.output, constants, folded, names
        ):
            names.update(stands_for(name, constants, folded) for name in node.input if name)
    return names


def is_kept(
    outputs: Collection[str], constants: Constants, folded: Collection[str], names: Collection[str]
) -> bool:
    """Whether a node that can be computed must stay, since something reads an output of it.

    Args:
        outputs: of the node.
        constants: of the graph.
        folded: the tensors that become initializers.
        names: of all tensors that are read.
    """
    return any(name in names and name not in folded for name in outputs)


def _worthwhile(graph: GraphProto, constants: Constants) -> list[str]:
    groups: dict[str, list[str]] = {}  # what is read, by the tensor that it is a view of
    for node in all_nodes(graph):
        if is_quantized(node) or not constants.computed.keys().isdisjoint(node.output):
            continue  # rule 1
        for name in node.input:
            if name in constants.computed or name in constants.tensors:
                same = constants.same_as(name)
                group = groups.setdefault(constants.root(same), [])
                if same not in group:
                    group.append(same)
    wanted = list[str]()
    for root, members in groups.items():
        several = len(members) > 1 and _count(constants, root) > FEW_VALUES
        wanted += [root] if several else members  # rule 2
    tensors = {n for n, value in constants.values.items() if not is_sequence(value)}
    return _within_bounds(constants, [name for name in wanted if name in tensors])


def _within_bounds(constants: Constants, names: Sequence[str]) -> list[str]:
    """The tensors that rules 3 and 4 allow."""
    beside = Counter[frozenset[str]]()  # bytes of what is no weight, by the large sources
    for name in names:
        beside[_large_sources(constants, name)] += constants.values[name].nbytes
    found = []
    for name in names:
        computed, sources = constants.computed[name], _large_sources(constants, name)
        if computed.grown and not any(_holds_values(constants, s) for s in computed.sources):
            continue  # rule 3
        if not computed.of_layer and beside[sources] > 2 * constants.size(sources) and sources:
            continue  # rule 4
        found.append(name)
    return found


def _large_sources(constants: Constants, name: str) -> frozenset[str]:
    """The initializers of many values that a tensor comes from."""
    sources = constants.computed[name].sources
    return frozenset(source for source in sources if constants.count([source]) > FEW_VALUES)


def _count(constants: Constants, name: str) -> int:
    return constants.count([name]) if name in constants.tensors else constants.values[name].size


def _holds_values(constants: Constants, source: str) -> bool:
    """Whether an initializer holds values of its own: no number, no indices and no flags."""
    return constants.count([source]) > 1 and constants.tensors[source].data_type not in _INDICES


def _named(
    graph: GraphProto, constants: Constants, folded: Collection[str], used: Collection[str]
) -> dict[str, str]:
    """The names of what is folded, as initializers."""
    read, taken = needed(graph, constants, folded), set(used)
    outputs = {value.name for each in walk(graph) for value in each.output}
    made = {
        name
        for node in all_nodes(graph)
        if is_kept(node.output, constants, folded, read)
        for name in node.output
    }
    large = {name: _large_source(constants, name) for name in folded}
    claims = Counter(large.values())
    names = {}
    for name in folded:
        source = large[name]
        if source is not None and claims[source] == 1 and source not in read:
            taken -= {source, name}
            names[name] = unused_name(source.removesuffix(_CODES), taken)
        elif name in outputs or name in made:
            names[name] = unused_name(f"{name}_constant", taken)
        else:
            names[name] = name
    return names


def _large_source(constants: Constants, name: str) -> str | None:
    """The one initializer with at least half the values of a tensor that comes from it."""
    least = constants.values[name].size / 2
    found = [
        source
        for source in constants.computed[name].sources
        if _holds_values(constants, source) and constants.count([source]) >= least
    ]
    return found[0] if len(found) == 1 else None
