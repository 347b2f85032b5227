"""Keeps the best model of a run that goes on after its time was up.

With more time, a run may find a better start, from which its search begins anew. What it then ends
with may be worse than the model of the part before, whose search had come further.
"""

from dataclasses import replace

from onnx_evoq.metrics import Metric
from onnx_evoq.record import Run
from onnx_evoq.report import Result
from onnx_evoq.run import Stopped

BEST = "best.onnx"  # in the folder of the run
_SCORE = "score of best.onnx"  # what a run notes: its value, and of how many held-out samples


def with_best_kept(run: Run, result: Result, metric: Metric, samples: int) -> Result:
    """Keep the model of a part of a run whose time was up, unless an earlier one is better.

    Args:
        run: what keeps the job.
        result: of this part.
        metric: of its scores.
        samples: held-out samples that were scored; scores of other samples are not compared.

    Returns:
        The result, with a note if the part before ended with a better model.

    Raises:
        OutputError: the model cannot be written into the folder.
    """
    if run.folder is None:
        return result
    value, best = result.scores["evolved"].heldout, run.recall(_SCORE)
    if best is not None and best[1] == samples and metric.fitness(value) > metric.fitness(best[0]):
        note = (
            f"before it went on, this run had found a model with {metric.name} {best[0]:.4g} on "
            f"the held-out samples, and it ends with {value:.4g}: with more time it had another "
            f"start, from which the search began anew. The other model is {run.folder / BEST}."
        )
        return replace(result, notes=(*result.notes, note))
    if result.stopped is Stopped.TIME or best is not None:
        result.save(run.folder / BEST)
        run.note(_SCORE, [value, samples])
    return result
