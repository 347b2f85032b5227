"""The command report: a page of a result that another command printed."""

from pathlib import Path

import click

from onnx_evoq.cli.main_group import main
from onnx_evoq.cli.output_paths import note_text
from onnx_evoq.cli.report_file import make_report
from onnx_evoq.cli.reporting import reporting
from onnx_evoq.cli.run_folder import unfinished_run


@main.command(short_help="Make a page of a result.")
@click.argument("result", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page to write; - is standard output. Default: report.html in the same folder.",
)
@click.option(
    "--layers",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the table of layers to this file, too, as CSV.",
)
@reporting
def report(result: Path, output: Path | None, layers: Path | None) -> None:
    """Make a page of RESULT, which optimize or search printed with --json, or of a run's folder.

    The page is one HTML file, which needs no network. With --report, optimize and search write such
    a page themselves, with errors by layer and by sample, too.
    """
    unfinished = unfinished_run(result)
    if unfinished:
        click.echo(note_text(unfinished), err=True)
    make_report(result, output, layers, unfinished)
