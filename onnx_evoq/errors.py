"""The errors that this package raises on purpose.

    EvoqError
    ├── ModelError    the model: unreadable, unsupported, already quantized, nothing to quantize
    ├── DataError     the data: missing, of another shape or type than the model takes, bad labels
    ├── MetricError   the metric: unknown, without the labels it needs, raises or returns NaN
    ├── OptionError   an option: out of range, or a pattern that matches no weight
    ├── BudgetError   a size or a drop that no model reaches
    ├── OutputError   a file that cannot be written
    ├── StorageError  no room for temporary files
    └── ClusterError  a cluster that cannot be reached, or is lost

Each message is one or two sentences that name the culprit (file, tensor, option) and the remedy.
The command line prints it on one line and exits with status 1, or 3 for a `BudgetError`. A lack of
memory is Python's MemoryError.
"""

from typing import Any


class EvoqError(Exception):
    """The base class of all errors of this package."""


class ModelError(EvoqError):
    """The model cannot be read, run or quantized.

    Attributes:
        varying: a tensor whose shape changes from sample to sample, if that is why; else None.
    """

    def __init__(self, message: str, varying: str | None = None) -> None:
        super().__init__(message)
        self.varying = varying


class DataError(EvoqError):
    """The data cannot be read or do not fit the model."""


class MetricError(EvoqError):
    """The metric is unknown, cannot be computed here, or failed."""


class OptionError(EvoqError):
    """An option has a value that is out of range or does not fit the model."""


class BudgetError(EvoqError):
    """No model is small enough, or good enough; the message says what can be reached.

    Attributes:
        search: the front that was found, where a search came before.
        result: the model that does not hold what was asked for, where one was made.
    """

    def __init__(self, message: str, search: Any = None, result: Any = None) -> None:
        super().__init__(message)
        self.search, self.result = search, result


class OutputError(EvoqError):
    """The output cannot be written."""


class StorageError(EvoqError):
    """There is no room for temporary files, or they cannot be read."""


class ClusterError(EvoqError):
    """A cluster cannot be reached, does not fit this installation, or is lost."""
