"""The command onnx-evoq, which the other commands belong to."""

import click

from onnx_evoq.cli.process import Commands
from onnx_evoq.record import versions


def _print_versions(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the versions of the program and of what its results depend on, and end."""
    if wanted and not context.resilient_parsing:
        click.echo(", ".join(f"{name} {found}" for name, found in versions().items()))
        context.exit()


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_versions,
    help="Show the versions of onnx-evoq, onnx, onnxruntime and numpy.",
)  # fmt: skip
def main() -> None:
    """Make an exported ONNX model small and keep its answers.

    onnx-evoq quantizes the weights of MODEL to N-bit fixed point, and searches for the codes that
    keep the model's outputs, scored by ONNX Runtime. It needs a few hundred samples, no labels and
    no training framework.

    \b
      onnx-evoq optimize model.onnx --bits 6 --data calib.npz
      onnx-evoq evaluate model.w6.onnx --data test.npz --reference model.onnx
    """
