"""Progress bars on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from onnx_evoq.progress import Step


@contextmanager
def bars(label: str, total: float) -> Iterator[Step]:
    """A tqdm bar on stderr with the time left, if stderr is a terminal.

    Args:
        label: what is going on.
        total: the amount of work; steps are parts of it.
    """
    shape = "{desc:<12} {percentage:3.0f}%|{bar}| {elapsed} spent, {remaining} left"
    with tqdm(
        total=total,
        desc=label,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        bar_format=shape,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield bar.update
