"""What a run depends on besides its model and its data, as its folder keeps it."""

from dataclasses import replace
from typing import Any

from onnx_evoq.api.job.open_job import DataSource
from onnx_evoq.data import as_data
from onnx_evoq.record import described
from onnx_evoq.setup import Resources


def run_options(
    data: DataSource, resources: Resources, *groups: Any, **options: Any
) -> dict[str, Any]:
    """The options on which the result of a run depends, as JSON has them.

    The source of the data is left out, since the data themselves are compared; so are the memory
    and the cores, which do not change the result.

    Args:
        data: the samples, for their preprocessing.
        resources: for the execution providers.
        groups: dataclasses whose fields are options of their own, as on the command line; a field
            `name` is called as the class.
        options: all others by name.

    Example:
        >>> run_options(None, Resources(), bits=4)["bits"]
        4
    """
    preprocessing = described(replace(as_data(data), source=None))
    del preprocessing["source"]
    given = {name: described(value) for name, value in options.items()}
    for group in groups:
        kind = type(group).__name__.lower()
        given |= {kind if n == "name" else n: value for n, value in described(group).items()}
    return {**given, **preprocessing, "providers": described(resources.providers)}
