"""The command verify: whether models are what their records say."""

import sys
from pathlib import Path
from typing import Any

import click

import onnx_evoq
from onnx_evoq.cli.arguments import arguments_of
from onnx_evoq.cli.main_group import main
from onnx_evoq.cli.options import COMMON_OPTIONS, DATA_OPTIONS
from onnx_evoq.cli.output_paths import show
from onnx_evoq.cli.reporting import reporting
from onnx_evoq.report import verification_text

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@main.command(short_help="Check that models are what their records say.")
@click.argument("models", type=_FILE, nargs=-1, required=True)
@click.option(
    "--reference",
    type=_FILE,
    metavar="FLOAT_MODEL",
    help="The float model: it must be the one that the model was made from, and the outputs must "
    "be as near to its outputs as was recorded.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    help="With --reference: the share by which the error may be larger than the recorded one.",
)
@DATA_OPTIONS
@COMMON_OPTIONS
@reporting
def verify(models: tuple[Path, ...], quiet: bool, as_json: bool, **options: Any) -> None:
    """Check that MODELS, which onnx-evoq wrote, are what their records say.

    A model records the hashes of its graph with its values and of its float model, its options, and
    the grids of its weights. Prints what is not as recorded. The exit code is 1 if anything is not,
    so that a commit or a pipeline can stop there. With --json, one object for each model.
    """
    faults = 0
    for model in models:
        found = onnx_evoq.verify(model, **arguments_of(options, quiet))
        show(verification_text(found), found.to_dict(), found.notes, quiet, as_json)
        faults += len(found.faults)
    if faults:
        sys.exit(1)
