"""Synthetic samples drawn in other ways, on which the float model is run when it is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.data import Samples
from onnx_evoq.metrics import Criterion, Layouts, find_metric
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session, predict
from onnx_evoq.setup.scoring.scoring_set import ScoringSet
from onnx_evoq.setup.sessions import Resources, not_finite, workers_of


@dataclass(frozen=True, eq=False)
class DrawnOtherwise:
    """Samples that are drawn in other ways than those of the search, in several sets.

    Attributes:
        samples: the sets. The first has as many samples as the search, of one amplitude.
        batches: cuts samples into batches.
        open: opens a session of the float model.
        layouts: of the outputs.
        resources: what the runs may use.
        most: how many samples of a set are run, at most.
    """

    samples: Sequence[Samples]
    batches: Callable[[Samples], list[Batch]]
    open: Callable[[], Session]
    layouts: Layouts
    resources: Resources
    most: int

    def sets(self, deadline: Deadline) -> tuple[ScoringSet, ...]:
        """The scoring sets, by the relative error of the outputs.

        Sets on which the float model gives NaN or infinity are left out, and so are those for which
        there is no time, but for a batch of the first.

        Args:
            deadline: after which no other batch is run.
        """
        session, found = self.open(), list[ScoringSet]()
        for part in self.samples:
            if found and deadline.passed:
                break
            wanted = self.batches(part.part(0, max(1, int(min(self.most, len(part))))))
            outputs = list[Arrays]()
            for each in predict(session, wanted, workers_of(self.resources)):
                outputs.append(each)
                if deadline.passed:
                    break
            if not not_finite(outputs, session.name):
                criterion = Criterion(find_metric("nmse"), outputs, None, self.layouts)
                found.append(ScoringSet(wanted[: len(outputs)], criterion))
        return tuple(found)
