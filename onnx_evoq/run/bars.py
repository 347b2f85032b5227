"""Progress bars on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from onnx_evoq.progress import Step


@contextmanager
def bars(label: str, total: float) -> Iterator[Step]:
    """Show a tqdm progress bar with the remaining time on stderr, if that is a terminal.

    Args:
        label: the name of the work.
        total: the amount of work. The bar is a function that takes the amount of each step.

    Example:
        >>> with bars("samples", 2) as step:
        ...     for _ in range(2):
        ...         done = step(1)
    """
    layout = "{desc:<12} {percentage:3.0f}%|{bar}| {elapsed} spent, {remaining} left"
    with tqdm(
        total=total,
        desc=label,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        bar_format=layout,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield bar.update
