"""The files of a result: reads what a command printed, and writes its twins for machines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx_evoq.errors import OutputError
from onnx_evoq.output_file import write_file
from onnx_evoq.report.page.layer_rows import layers_csv
from onnx_evoq.report.page.page import report_page

RESULT, LAYERS = "result.json", "layers.csv"
_OF_BOTH = {"model", "metric", "seed", "evaluations", "seconds", "notes"}
_OF_RESULT = {"scores", "layers", "bits", "bytes_before", "bytes_after"}
_OF_SEARCH = {"front", "uniform", "greedy", "size"}


def write_twins(folder: str | Path, values: Mapping[str, Any]) -> None:
    """Write a result into a folder: all of it as `result.json`, and its layers as `layers.csv`.

    Args:
        folder: the folder, which exists.
        values: of an optimized model or a search, as `to_dict` gives them.

    Raises:
        OutputError: a file cannot be written.
    """
    text = json.dumps(values, allow_nan=False)
    write_file(Path(folder) / RESULT, text.encode())
    write_file(Path(folder) / LAYERS, layers_csv(values).encode())


def read_result(path: str | Path) -> dict[str, Any]:
    """Read what `optimize --json` or `search --json` printed, or the folder of a run.

    Args:
        path: the file, or a folder that holds `result.json`.

    Raises:
        OutputError: it cannot be read, or holds something else.
    """
    file = Path(path) / RESULT if Path(path).is_dir() else Path(path)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as cause:
        raise OutputError(f"{file}: cannot be read ({cause.strerror}).") from cause
    except (ValueError, RecursionError) as cause:
        raise OutputError(f"{file}: is no JSON: give what optimize --json printed.") from cause
    values = _of_policy(values)
    keys = set(values) if isinstance(values, dict) else set()
    if not keys >= _OF_BOTH or not (keys >= _OF_RESULT or keys >= _OF_SEARCH):
        raise OutputError(
            f"{file}: is no result of optimize or search: give what they print with --json, or the "
            "folder of a run."
        )
    return dict(values)


def _of_policy(values: Any) -> Any:
    """The optimized model, where a search was given a policy, so that it made no front."""
    if not isinstance(values, dict) or "front" in values:
        return values
    if not isinstance(values.get("optimized"), dict):
        return values
    more = {key: values[key] for key in ("notes", "command", "history") if key in values}
    return {**values["optimized"], **more}


def page_of_file(path: str | Path, unfinished: str = "") -> tuple[str, str]:
    """The page of a result in a file or a folder, and its layers as CSV.

    Args:
        path: the file or the folder.
        unfinished: a sentence on the run, if it is not finished.

    Raises:
        OutputError: it holds no result of optimize or search.
    """
    values = read_result(path)
    try:
        return report_page({**values, "unfinished": unfinished}), layers_csv(values)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as cause:
        raise OutputError(
            f"{path}: holds a result that is not complete ({type(cause).__name__}: {cause}): print "
            "it again with --json."
        ) from cause
