"""What is left to do once the codes of a model are chosen, and how long it takes."""

from dataclasses import replace

from onnx_evoq.run import Deadline
from onnx_evoq.setup import Calibration

_SHARE = 5  # the final scores may take one part in so many of the time left
_SCORES = 2.5  # runs of all samples after the search: nearest rounding, the emitted model
_COMPARED = 64  # samples that are run to compare the start of the search with nearest rounding
_FEWEST_OF_SEARCH = 64  # samples of the search set that are scored, if there are so many
_EMISSION = 4  # emission takes so many times as long as opening the float model


class FinalCheck:
    """The emission of the model, and its scores.

    The score on the search set only shows how much better the model does there than on held-out
    samples: as many samples as are held out are enough for that.

    Attributes:
        calibration: the samples that the emitted model is scored on.
        seconds: about how long emission and scores take.
        notes: sentences that a user should read.

    Args:
        calibration: the samples.
        opened: seconds that it took to open the float model.
        deadline: by which all must be done.
    """

    def __init__(self, calibration: Calibration, opened: float, deadline: Deadline) -> None:
        search, heldout = calibration.search_set, calibration.heldout_set
        if search.batches[0] is not heldout.batches[0]:  # else both are all samples
            search = search.first(max(_FEWEST_OF_SEARCH, heldout.samples))
            calibration = replace(calibration, search_set=search)
        samples = _samples(calibration)
        runs = _SCORES * calibration.seconds * samples
        share = 1.0 if runs <= 0 else min(1.0, deadline.left / (_SHARE * runs))
        self.calibration = calibration.first(share)
        scored = _samples(self.calibration)
        compared = min(_COMPARED, 2 * self.calibration.heldout_set.samples)
        self.seconds = scored / samples * runs + compared * calibration.seconds + _EMISSION * opened
        self.notes: tuple[str, ...] = ()
        if scored < samples:
            self.notes = (f"the scores are of {scored} samples only, to save time.",)


def _samples(calibration: Calibration) -> int:
    return calibration.search_set.samples + calibration.heldout_set.samples
