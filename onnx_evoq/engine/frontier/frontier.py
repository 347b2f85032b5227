"""Go through a model from one of its weights to the next, and run each part of it once.

The *frontier* before some weights is the set of tensors that do not depend on them, and that the
rest of the model reads. From its values for each batch, the tensors at the next layer are computed,
and with them the next frontier. So each sample passes each part of the model once.

1. A frontier whose tensors take too much memory is not kept: the next part starts from the last one
   that was, and runs a few layers again. After some such layers it is kept after all; what does not
   fit into memory goes to a temporary file. Nor is a frontier kept which holds a value that is no
   array of NumPy.
2. The first layers of a network have so many positions in each sample that few samples are enough.
   The others are brought to the frontier when a layer needs them (`grow`).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts import BatchTensors, run_on, specs_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Network, bridge, frontier_before
from onnx_evoq.parallel import in_order
from onnx_evoq.score import Block, Session, TensorStore
from onnx_evoq.setup import Resources, open_session, workers_of

AheadT = TypeVar("AheadT")

_MOST_LAYERS_AGAIN = 4  # layers that are run again because a frontier was not kept


class Keeping:
    """Decides which frontiers are kept.

    Args:
        limit: bytes of a frontier that is kept; of others, every fifth is.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._layers_again = 0

    def fits(self, first: Sequence[Array], batches: Sequence[Batch]) -> bool:
        """Whether a frontier is to be kept.

        Args:
            first: its tensors of the first batch.
            batches: all that have come; longer ones have more.
        """
        sizes = [batch.size * batch.length for batch in batches]
        size = int(sum(tensor.nbytes for tensor in first) * (sum(sizes) / sizes[0]))
        return size <= self._limit or self._layers_again >= _MOST_LAYERS_AGAIN

    def advance(self, *, kept: bool) -> None:
        """Take in whether the next frontier was kept."""
        self._layers_again = 0 if kept else self._layers_again + 1


class Frontier:
    """The tensors that a model needs to go on from a weight, for the first batches.

    Attributes:
        count: how many batches have come so far.

    Args:
        batches: the samples.
        resources: what the runs may use.
        limit: bytes of tensors that may stay in memory.
        count: with how many batches to begin, at least one.
    """

    def __init__(
        self, batches: Sequence[Batch], resources: Resources, limit: int, count: int
    ) -> None:
        self._batches, self._resources, self._limit = batches, resources, limit
        self.count = count
        self._names: tuple[str, ...] = ()
        self._kept: TensorStore | None = None  # None at the model's inputs
        self._unused: list[Block] = []  # memory for the next frontier
        self._keeping = Keeping(limit)

    def ahead(self, network: Network, weights: Sequence[str], wanted: Sequence[str]) -> "Ahead":
        """Prepare to compute some tensors, and the frontier before some weights.

        Args:
            network: the model with its present values. Those that the kept frontier depends on must
                not have changed.
            weights: the weights that the new frontier must not depend on.
            wanted: the tensors to compute besides.

        Raises:
            ModelError: a wanted tensor cannot be computed, or is no array.
        """
        return with_frontier(network, weights, lambda names: Ahead(self, network, names, wanted))

    def grow(self, network: Network, count: int) -> None:
        """Bring more batches to the kept frontier.

        Args:
            network: as for `ahead`.
            count: how many batches there shall be, no fewer than now.

        Raises:
            StorageError: the disk has no room for tensors that do not fit into memory.
        """
        if self._kept is not None:
            session = self.session(network, self._names, known=())

            def tensors(index: int) -> Arrays:
                return run_on(session, self._batches[index].feed)

            new = range(self.count, count)
            for each in in_order(tensors, new, workers_of(self._resources)):
                self._kept.append(each)
        self.count = count

    @property
    def known(self) -> BatchTensors:
        """For each batch, the model's inputs and the tensors of the kept frontier."""
        crossing = [{} for _ in range(self.count)] if self._kept is None else self._kept
        return BatchTensors(self._batches[: self.count], crossing)

    def session(
        self, network: Network, wanted: Sequence[str], known: Sequence[str] | None = None
    ) -> Session:
        """A session that computes tensors from the inputs and from the kept frontier.

        Args:
            network: the model with its present values.
            wanted: the tensors to compute.
            known: names of tensors to start from besides the inputs; None for the kept frontier.

        Raises:
            ModelError: one of them cannot be computed, or ONNX Runtime cannot load the part.
        """
        names = self._names if known is None else known
        part = part_behind(network, self._batches, self.known, names, wanted)
        return open_session(part, self._resources, f"the part of the model up to {wanted[0]!r}")

    def fits(self, first: Sequence[Array]) -> bool:
        """Whether a frontier with these tensors of the first batch is to be kept."""
        return self._keeping.fits(first, self._batches[: self.count])

    def new_store(self) -> TensorStore:
        """A place for the next frontier; the kept one is needed meanwhile."""
        return TensorStore(self._limit, self._unused)

    def advance(self, names: tuple[str, ...], kept: TensorStore | None) -> None:
        """Take the next frontier in place of the kept one; None leaves that where it is."""
        self._keeping.advance(kept=kept is not None)
        if kept is not None:  # without tensors it is at the model's inputs
            kept.close()
            self._unused = [] if self._kept is None else self._kept.blocks
            self._names, self._kept = names, kept if names else None


class Ahead:
    """Computes the tensors at a layer and the next frontier, batch by batch.

    Attributes:
        first: the tensors of the first batch.

    Args:
        frontier: where to start.
        network: the model with its present values.
        names: the tensors of the next frontier; None if it is not to be kept.
        wanted: the tensors to compute besides.

    Raises:
        ModelError: a tensor cannot be computed, or is no array.
    """

    def __init__(
        self,
        frontier: Frontier,
        network: Network,
        names: tuple[str, ...] | None,
        wanted: Sequence[str],
    ) -> None:
        self._frontier, self._names = frontier, names
        known = frontier.known[0]
        missing = sorted({*wanted, *(names or ())} - known.keys())
        self._session = frontier.session(network, missing) if missing else None
        self.first: Arrays = self._run(0)
        keeps = names is not None and frontier.fits([self.first[name] for name in names])
        self._store = frontier.new_store() if keeps else None

    def of(self, index: int) -> Arrays:
        """The tensors of a batch, by name: the inputs, the kept frontier and those to compute."""
        return self.first if index == 0 else self._run(index)

    def keep(self, tensors: Arrays) -> None:
        """Keep what the next frontier needs of the tensors of a batch; in the batches' order.

        Raises:
            StorageError: the disk has no room for tensors that do not fit into memory.
        """
        if self._store is not None:
            self._store.append({name: tensors[name] for name in self._names or ()})

    def done(self) -> None:
        """Go on from the next frontier; all batches have been kept."""
        self._frontier.advance(self._names or (), self._store)

    def _run(self, index: int) -> Arrays:
        known = self._frontier.known[index]
        if self._session is None:
            return known
        return {**known, **run_on(self._session, known)}


def with_frontier(
    network: Network,
    weights: Sequence[str],
    make: Callable[[tuple[str, ...] | None], AheadT],
) -> AheadT:
    """What is made with the frontier before some weights; without, if a value of it is no array.

    Args:
        network: the model.
        weights: those that the frontier must not depend on.
        make: is given the frontier's names, or None.

    Raises:
        ModelError: it cannot be made without, either.
    """
    try:
        return make(frontier_before(network, weights))
    except ModelError:
        return make(None)


def part_behind(
    network: Network,
    batches: Sequence[Batch],
    known: Sequence[Arrays],
    names: Sequence[str],
    wanted: Sequence[str],
) -> Network:
    """The part of a model that computes tensors from its inputs and from other tensors.

    Args:
        network: the model.
        batches: the samples.
        known: for each batch that has come, the inputs and the tensors to start from.
        names: the latter.
        wanted: the tensors to compute.

    Raises:
        ModelError: one of them cannot be computed.
    """
    inputs = BatchTensors(batches, [{} for _ in batches])  # of later batches, too
    specs = specs_of(inputs, list(batches[0].feed)) + specs_of(known, names)
    part = bridge(network, specs, wanted)
    if part is None:
        raise ModelError(f"{wanted[0]!r} cannot be computed by itself.")
    return part
