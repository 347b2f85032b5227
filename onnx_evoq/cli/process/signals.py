"""Signals that end a command: the first keeps what was found, a second one ends it at once."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from onnx_evoq.command_start import end_quietly
from onnx_evoq.run import ENDING_SIGNALS
from onnx_evoq.temporary_folder import remove_named_files

_ENDING = (signal.SIG_DFL, signal.default_int_handler, end_quietly)  # handlers that end a process


class EndedAtOnce(BaseException):
    """A second signal: nothing is kept, and nobody catches this but `Signals`."""


class Signals:
    """While a command runs, what SIGINT (Ctrl-C), SIGTERM and SIGHUP do.

    The first raises KeyboardInterrupt, on which a search ends with what it found. The second ends
    the process, once the files that are not complete, and temporary ones, are removed. Signals that
    are ignored (by nohup, say) stay ignored.

    Attributes:
        first: the first signal; None if there was none.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """The exit code of a process that the first signal ended."""
        return 128 + (self.first or signal.SIGINT)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                if signal.getsignal(number) in _ENDING:
                    self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if isinstance(error, EndedAtOnce):  # threads that still compute would be waited for
            sys.stderr.flush()
            remove_named_files()
            os._exit(self.exit_code)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.first is None:
            self.first = number
            raise KeyboardInterrupt
        raise EndedAtOnce
