"""Import a user's function by its name: ``package.module:function`` or ``file.py:function``."""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from onnx_evoq.errors import EvoqError

_LOCK = threading.Lock()
_APART: list[TextIO] = []  # what standard output was, for each that is apart


def is_import_path(text: str) -> bool:
    """Whether a text has the form ``where:function``; a drive like ``C:\\x`` has not."""
    where, colon, name = text.rpartition(":")
    return bool(colon) and bool(where) and name.isidentifier()


@contextmanager
def messages_apart() -> Iterator[None]:
    """While it is entered, what is printed goes to standard error: the result may go to stdout.

    Several threads may be inside; the last one to leave gives standard output back.

    Example:
        >>> with messages_apart():
        ...     print("read 12 files")
    """
    with _LOCK:
        _APART.append(sys.stdout)
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _LOCK:
            before = _APART.pop()  # the first that entered had the stream itself: it is the last
            if not _APART:
                sys.stdout = before


def load_function(reference: str, error: type[EvoqError]) -> Callable[..., Any]:
    """Import the function that a reference names.

    Python's search path is used for modules, with the working directory first.

    Args:
        reference: ``package.module:function`` or ``path/to/file.py:function``.
        error: the class of the error to raise: `DataError` or `MetricError`, for example.

    Raises:
        EvoqError: (of the class `error`) the module cannot be imported or has no such function.

    Example:
        >>> load_function("os.path:basename", EvoqError)("folder/file")
        'file'
    """
    where, _, name = reference.rpartition(":")
    try:
        with messages_apart():
            module = _import_file(Path(where)) if where.endswith(".py") else _import_module(where)
    except (Exception, SystemExit) as cause:  # the user's module may raise anything
        raise error(f"{reference!r} cannot be imported: {type(cause).__name__}: {cause}") from cause
    function = getattr(module, name, None)
    if not callable(function):
        raise error(f"{where!r} has no function named {name!r}: check the part after the colon.")
    return function  # type: ignore[no-any-return]


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)
