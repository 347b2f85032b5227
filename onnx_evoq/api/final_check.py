"""What is left to do once the codes of a model are chosen, and how long it takes."""

from onnx_evoq.run import Deadline
from onnx_evoq.setup import Calibration

_SHARE = 5  # the final scores may take one part in so many of the time left
_SCORES = 2.5  # runs of all samples after the search: nearest rounding, the emitted model
_EMISSION = 4  # emission takes so many times as long as opening the float model


class FinalCheck:
    """The emission of the model, and its scores.

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
        samples = _samples(calibration)
        runs = _SCORES * calibration.seconds * samples
        share = 1.0 if runs <= 0 else min(1.0, deadline.left / (_SHARE * runs))
        self.calibration = calibration.first(share)
        scored = _samples(self.calibration)
        self.seconds = scored / samples * runs + _EMISSION * opened
        self.notes: tuple[str, ...] = ()
        if scored < samples:
            self.notes = (f"the scores are of the first {scored} samples, to save time.",)


def _samples(calibration: Calibration) -> int:
    return calibration.search_set.samples + calibration.heldout_set.samples
