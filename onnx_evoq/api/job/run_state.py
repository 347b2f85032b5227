"""The states in which a run ends, as its folder names them."""

from onnx_evoq.run import Stopped

_STATES = {Stopped.INTERRUPT: "interrupted", Stopped.TIME: "time", None: "done"}


def state_of_end(stopped: Stopped | None) -> str:
    """The state of a run (`record.Run.ended`) that ended for a reason; None for a complete one.

    Example:
        >>> state_of_end(Stopped.INTERRUPT)
        'interrupted'
    """
    return _STATES[stopped]
