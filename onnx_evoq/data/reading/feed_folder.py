"""Read a folder of .npz and .npy files, each with the inputs of one run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from onnx_evoq.data.reading.array_file import stored_arrays
from onnx_evoq.data.reading.arrays import LABELS, arrays_of_inputs
from onnx_evoq.data.reading.feeds import Feed, from_iterable
from onnx_evoq.data.reading.images import listed_files
from onnx_evoq.data.reading.limit import Limit
from onnx_evoq.data.reading.raw import Raw
from onnx_evoq.signature import TensorSpec

_ENDINGS = {".npz", ".npy"}


def array_files(folder: Path) -> list[Path]:
    """The .npz and .npy files of a folder, by name."""
    return sorted(path for path in listed_files(folder) if path.suffix.lower() in _ENDINGS)


def read_feeds(
    files: Sequence[Path],
    folder: Path,
    specs: Sequence[TensorSpec],
    limit: Limit,
    rows_are_samples: Callable[[Feed], bool],
) -> Raw:
    """Read files that each hold a feed, as `from_iterable` takes it; their shapes may differ.

    Args:
        files: .npz files with arrays named like the model's inputs (and `y` for labels), or .npy
            files with the only input.
        folder: where they are, for messages.
        specs: the model's inputs.
        limit: how many samples to read.
        rows_are_samples: as for `from_iterable`.

    Raises:
        DataError: a file cannot be read, or lacks an input.
    """
    wanted = dict.fromkeys([*(spec.name for spec in specs), "x", LABELS])

    def feeds() -> Iterator[Feed]:
        for file in files:
            arrays, names = stored_arrays(file, wanted)
            inputs = arrays_of_inputs(arrays, names, str(file), specs)
            limit.check(sum(array.nbytes for array in inputs.values()), str(file))
            if LABELS in arrays:
                inputs = {LABELS: arrays[LABELS], **inputs}
            yield {name: array.all() for name, array in inputs.items()}

    return from_iterable(feeds, str(folder), specs, limit, rows_are_samples)
