"""The command line: parse, call the API, print. No logic."""

import functools
import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import onnx_evoq
from onnx_evoq.cli_types import BITS_FOR, BYTES, CONFIG, DURATION, NUMBERS, RANGE, SIDE, read_config
from onnx_evoq.errors import BudgetError, EvoqError, OptionError, OutputError
from onnx_evoq.metrics import METRIC_NAMES
from onnx_evoq.mixed_precision import ParetoPoint
from onnx_evoq.model import data_files, serialize
from onnx_evoq.output_file import check_writable, is_stdout, same_file, write_file, write_stdout
from onnx_evoq.progress import silent
from onnx_evoq.report import (
    check_picture,
    evaluation_text,
    inspection_text,
    result_text,
    search_picture,
    search_text,
    sensitivity_text,
)
from onnx_evoq.run import bars
from onnx_evoq.setup import MAX_BITS, MIN_BITS, Policy, policy_from
from onnx_evoq.user_function import is_import_path

Command = Callable[..., Any]

MODEL = click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_METRIC_HELP = (
    f"auto, {', '.join(METRIC_NAMES)}, or your own function as package.module:function or "
    "file.py:function, taking (outputs, labels) and carrying an attribute higher_is_better."
)


def stacked(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, the first one outermost."""

    def apply(command: Command) -> Command:
        return functools.reduce(lambda inner, decorate: decorate(inner), decorators[::-1], command)

    return apply


DATA_OPTIONS = stacked(
    click.option(
        "--data",
        help="An .npz (arrays named like the model's inputs, or x; labels in y), an .npy, a "
        "folder of images, or a function as package.module:function or file.py:function that gives "
        "{input: array} feeds or ONNX Runtime's CalibrationDataReader. Without data, synthetic "
        "inputs are drawn.",
    ),
    click.option(
        "--labels",
        type=click.Path(exists=True, dir_okay=False),
        help="For an image folder: a CSV file with columns file,label and optionally split.",
    ),
    click.option("--split", help="The rows of that file to use, by their column split."),
    click.option(
        "--samples",
        type=click.IntRange(min=1),
        help="Use the first so many samples at most; class folders are taken in turn.",
    ),
    click.option("--divide", type=float, help="Divide values by this, 255 for example."),
    click.option(
        "--mean",
        type=NUMBERS,
        help="Subtract this per channel, after --divide: a,b,c or one number.",
    ),
    click.option("--std", type=NUMBERS, help="Divide by this per channel, after --mean."),
    click.option(
        "--layout",
        type=click.Choice(["nchw", "nhwc"]),
        help="The image layout that the model takes; told from its input unless given.",
    ),
    click.option(
        "--color",
        type=click.Choice(["rgb", "bgr"]),
        default="rgb",
        show_default=True,
        help="The channel order that the model takes.",
    ),
    click.option("--resize", type=SIDE, help="Resize images: the shorter side, or HEIGHTxWIDTH."),
    click.option(
        "--crop", type=SIDE, help="Use the centre, after --resize: a square, or HEIGHTxWIDTH."
    ),
    click.option(
        "--input-range",
        type=RANGE,
        metavar="LOW,HIGH",
        help="What the model expects, for synthetic inputs; about -2,2 unless given.",
    ),
)

COMMON_OPTIONS = stacked(
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Seed of all random draws; the same seed gives the same bytes.",
    ),
    click.option(
        "--providers",
        help="ONNX Runtime's execution providers, first choice first: cuda,cpu. Default: cpu.",
    ),
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read_config,
        help="A TOML file with options of this and other commands; the command line wins.",
    ),
    click.option("--quiet", "-q", is_flag=True, help="No progress bars and no notes on stderr."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
)

GRANULARITY = click.option(
    "--granularity",
    type=click.Choice(["tensor", "channel"]),
    default="tensor",
    show_default=True,
    help="One step per tensor, or per output channel.",
)

GRID_OPTIONS = stacked(
    click.option(
        "--scale",
        type=click.Choice(["pow2", "float"]),
        default="pow2",
        show_default=True,
        help="Steps that are powers of two, or any float.",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="PATTERN",
        help="Leave weights float whose name, or node's name, matches ('fc*'). Repeatable.",
    ),
)

RESOURCE_OPTIONS = stacked(
    click.option(
        "--memory",
        type=BYTES,
        metavar="SIZE",
        help="Hold so much in memory of the tensors that all candidates for a weight share, 500MB "
        "for example; the rest goes to a temporary file. Default: half of what is free.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Score on so many cores. The result is the same. Default: all of them.",
    ),
)

HOLDOUT = click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the samples that accepts instead of selecting.",
)

METRIC = click.option("--metric", default="auto", show_default=True, help=_METRIC_HELP)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="onnx-evoq")
def main() -> None:
    """Make an exported ONNX model small and keep its answers.

    onnx-evoq puts the weights of MODEL on an N-bit fixed-point grid and searches for the grid
    points that keep the model's outputs, scored by ONNX Runtime. It needs a few hundred samples,
    no labels and no training framework.

    \b
      onnx-evoq optimize model.onnx --bits 6 --data calib.npz
      onnx-evoq evaluate model.w6.onnx --data test.npz --reference model.onnx
    """


def reporting(command: Command) -> Command:
    """Print an error of this package, or that memory ran out, on one line and exit with 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except EvoqError as error:
            message = str(error)
        except MemoryError as error:
            message = (
                f"there is not enough memory ({str(error) or 'it ran out'}): use fewer samples "
                "(--samples), or hold less in memory (--memory)."
            )
        else:
            return
        click.echo("Error: " + " ".join(message.split()), err=True)
        sys.exit(1)

    return run


@main.command(short_help="Quantize a model and search for better codes.")
@MODEL
@click.option(
    "--bits",
    type=click.IntRange(MIN_BITS, MAX_BITS),
    help="The width of the weights' codes. The file holds 5 to 8 bits in INT8, 3 and 4 in INT4, "
    "2 in INT2.",
)
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file with the bits, the granularity and the expansion of each weight, as search "
    "--save-policy writes it, instead of --bits. What it does not say is as given here.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Where to write; - is standard output. Default: beside MODEL, NAME.w6.onnx for 6 bits, "
    "NAME.mixed.onnx for a policy.",
)
@DATA_OPTIONS
@METRIC
@GRANULARITY
@GRID_OPTIONS
@click.option(
    "--bits-for",
    type=BITS_FOR,
    multiple=True,
    metavar="PATTERN=N",
    help="Another width for matching weights ('conv1*=8'). Repeatable.",
)
@click.option(
    "--strategy",
    type=click.Choice(["neuroevolution", "coevolution", "none"]),
    default="neuroevolution",
    show_default=True,
    help="How to search: layer by layer, or all weights together, the least certain codes first; "
    "none emits the start.",
)
@click.option(
    "--init",
    type=click.Choice(["reconstruct", "nearest"]),
    default="reconstruct",
    show_default=True,
    help="Where the search starts: codes that keep the output of each layer, or rounding.",
)
@click.option(
    "--population",
    type=click.IntRange(min=1),
    help="Candidates that stay after each iteration. Default: 4 from a reconstruction, 32 from "
    "nearest rounding. In coevolution, candidates that are drawn at a time; default: 32.",
)
@click.option(
    "--generations",
    type=click.IntRange(min=0),
    help="Iterations per weight, and pass. Default: 64. In coevolution, groups of weights that are "
    "searched; default: 1024.",
)
@click.option(
    "--mutation-rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Probability that a code moves. Default: about 3 codes of a weight from a reconstruction, "
    "0.02 from nearest rounding. In coevolution, the share of all codes in the first group; "
    "default: 0.002 and 0.05.",
)
@click.option(
    "--time-budget",
    type=DURATION,
    default="4m",
    show_default=True,
    help="When ranking and search stop: 90s, 10m, 2h, or none.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Stop before the held-out samples lose more: points of top-1 with labels, else the share "
    "of answers that change (of the outputs' power, where they are no class scores). Weights not "
    "reached stay at 8 bits.",
)
@HOLDOUT
@click.option(
    "--format",
    "form",
    type=click.Choice(["qdq", "float"]),
    default="qdq",
    show_default=True,
    help="Integer weights with DequantizeLinear, or float weights on the grid.",
)
@COMMON_OPTIONS
@RESOURCE_OPTIONS
@reporting
def optimize(
    model: Path,
    output: Path | None,
    form: str,
    bits_for: tuple[tuple[str, int], ...],
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Quantize MODEL and search for the codes that keep its answers.

    Writes the fine-tuned model and prints the scores of the float, the nearest-rounded and the
    evolved model, the last of them measured on the file that was written.
    """
    if (options["bits"] is None) == (options["policy"] is None):
        raise click.UsageError("Give either --bits or --policy.")
    kind = "mixed" if options["bits"] is None else f"w{options['bits']}"
    target = _target(model, output, kind)
    to_stdout = _check_outputs([target], model, options, as_json)
    arguments = _arguments(options)
    result = onnx_evoq.optimize(
        model,
        bits_for=dict(bits_for),
        format=form,  # type: ignore[arg-type]  # click checked the choices
        progress=silent if quiet else bars,
        **arguments,
    )
    _write(target, serialize(result.model))
    text, values = result_text(result, str(target)), result.to_dict(target)
    _print(text, values, result.notes, quiet, as_json, to_stdout)


@main.command(short_help="Search for widths per layer: size against error.")
@MODEL
@DATA_OPTIONS
@METRIC
@click.option(
    "--granularity",
    type=click.Choice(["tensor", "channel", "any"]),
    default="any",
    show_default=True,
    help="One step per tensor, or per output channel, or for each layer what pays. Uniform widths, "
    "for comparison, have one per tensor unless it is channel.",
)
@GRID_OPTIONS
@click.option(
    "--per-channel",
    is_flag=True,
    help="Let groups of a layer's channels have widths of their own; not with --granularity "
    "tensor.",
)
@click.option(
    "--expansion/--no-expansion",
    default=True,
    show_default=True,
    help="Let channels be split in two, where the graph allows it (see inspect).",
)
@click.option(
    "--size",
    type=click.Choice(["packed", "file"]),
    default="packed",
    show_default=True,
    help="Which bytes count: codes at their own widths, or as an ONNX file stores them (2, 4 or 8 "
    "bits).",
)
@click.option(
    "--budget",
    type=BYTES,
    metavar="SIZE",
    help="Optimize the point of the front with the least error that is no larger: 120kB, say.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Optimize the smallest point that loses no more on the held-out samples, measured as for "
    "optimize.",
)
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Optimize the choice in this file, as --save-policy writes it, without a search.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Where to write the optimized model; - is standard output. Default: beside MODEL, "
    "NAME.mixed.onnx.",
)
@click.option(
    "--save-policy",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the chosen point as JSON, for --policy.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the front, .png or .svg (needs Matplotlib).",
)
@click.option(
    "--time-budget",
    type=DURATION,
    default="10m",
    show_default=True,
    help="When the search begins nothing new, though not before the uniform widths are built: 90s, "
    "10m, 2h, or none.",
)
@click.option(
    "--tune-budget",
    type=DURATION,
    default="4m",
    show_default=True,
    help="How long the point that is picked is optimized.",
)
@HOLDOUT
@COMMON_OPTIONS
@RESOURCE_OPTIONS
@reporting
def search(
    model: Path,
    budget: int | None,
    max_drop: float | None,
    policy: Path | None,
    output: Path | None,
    save_policy: Path | None,
    picture: Path | None,
    tune_budget: float | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for widths, steps and channels to split per layer, for the best size at each error.

    Prints the points that no other beats in both, beside one width for all layers and widths chosen
    by sensitivity alone. With --budget or --max-drop one of them is picked and optimized, and the
    model is written. --policy optimizes a saved choice without a search.
    """
    optimizing = budget is not None or max_drop is not None or policy is not None
    for given, name in ((output, "--output"), (save_policy, "--save-policy")):
        if given is not None and not optimizing:
            raise OptionError(f"{name} needs a choice: give --budget, --max-drop or --policy.")
    if policy is not None and (budget is not None or picture is not None):
        raise OptionError("--policy makes no search: leave --budget and --picture out.")
    target = _target(model, output, "mixed")
    outputs = [target if optimizing else None, save_policy, picture]
    to_stdout = _check_outputs(
        [path for path in outputs if path is not None],
        model, {**options, "policy": policy}, as_json,
    )  # fmt: skip
    if picture is not None:
        check_picture(picture)
    progress = silent if quiet else bars
    values: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    texts = []
    arguments = _arguments(options)
    chosen: Policy | ParetoPoint = policy_from(policy) if policy is not None else Policy({})
    found = None
    if policy is None:
        found = onnx_evoq.search_bits(model, progress=progress, **arguments)
        values, notes = found.to_dict(), found.notes
        texts.append(search_text(found))
        if picture is not None:
            search_picture(found, picture)
        if optimizing:
            try:
                chosen = found.pick(budget, max_drop)
            except BudgetError:
                _print(texts[0], values, notes, quiet, as_json, to_stdout)
                raise
    if optimizing:
        for name in ("expansion", "size", "per_channel"):
            arguments.pop(name)
        if arguments["granularity"] == "any":  # the policy says it
            arguments["granularity"] = "tensor"
        arguments["time_budget"] = tune_budget
        result = onnx_evoq.optimize(
            model, policy=chosen, max_drop=max_drop, progress=progress, **arguments
        )
        _write(target, serialize(result.model))
        if found is not None:
            notes = (*notes, *found.notes_on(result, budget))
        values["chosen"] = chosen.to_dict()
        values["optimized"] = result.to_dict(target)
        texts.append(result_text(result, str(target)))
        notes = tuple(dict.fromkeys((*notes, *result.notes)))
        if save_policy is not None:
            _write(save_policy, json.dumps(chosen.to_dict(), indent=1).encode())
    values["notes"] = list(notes)
    _print("\n\n".join(texts), values, notes, quiet, as_json, to_stdout)


@main.command(short_help="Rank weights by what quantizing them costs.")
@MODEL
@click.option(
    "--bits",
    type=click.IntRange(MIN_BITS, MAX_BITS),
    default=4,
    show_default=True,
    help="The width to try each weight at.",
)
@DATA_OPTIONS
@METRIC
@GRANULARITY
@GRID_OPTIONS
@COMMON_OPTIONS
@RESOURCE_OPTIONS
@reporting
def sensitivity(model: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """Rank the weights of MODEL by what quantizing each of them alone costs."""
    ranking = onnx_evoq.rank_sensitivity(
        model, progress=silent if quiet else bars, **_arguments(options)
    )
    _print(sensitivity_text(ranking), ranking.to_dict(), ranking.notes, quiet, as_json)


@main.command(short_help="Score a model, quantized or not.")
@MODEL
@DATA_OPTIONS
@METRIC
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FLOAT_MODEL",
    help="Also compare with this model's outputs: agreement, mse, kl.",
)
@COMMON_OPTIONS
@reporting
def evaluate(model: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """Score MODEL, quantized or not, on data that the search never saw."""
    evaluation = onnx_evoq.evaluate(
        model, progress=silent if quiet else bars, **_arguments(options)
    )
    _print(evaluation_text(evaluation), evaluation.to_dict(), evaluation.notes, quiet, as_json)


@main.command(short_help="List weights, and why others are none.")
@MODEL
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@reporting
def inspect(model: Path, as_json: bool) -> None:
    """List the weights of MODEL, and why other initializers are none.

    Shows operator, shape, channel axis, integer bits, range, whether output channels can be split
    (and if not, what is in the way), and the bytes at each width.
    """
    inspection = onnx_evoq.inspect(model)
    _print(inspection_text(inspection), inspection.to_dict(), (), False, as_json)


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Command-line options as arguments of the API: data options become one `Data`."""
    given = dict(options)
    of_data = {name: given.pop(name) for name in _DATA_FIELDS}
    source = given.pop("data")
    providers = given["providers"]
    given["providers"] = None if providers is None else [p.strip() for p in providers.split(",")]
    given["data"] = onnx_evoq.Data(source, **of_data)
    return given


def _target(model: Path, output: Path | None, kind: str) -> Path:
    """Where to write a model that comes of another."""
    return output or model.with_name(f"{model.stem}.{kind}.onnx")


def _check_outputs(
    outputs: Sequence[Path], model: Path, options: Mapping[str, Any], as_json: bool
) -> bool:
    """Look at all outputs, and tell whether one of them is standard output.

    Raises:
        OutputError: one cannot be written, is something that is read, or is another one.
        OptionError: one is standard output, where the JSON object goes.
    """
    for path in outputs:
        if not _is_dash(path):
            check_writable(path)
    to_stdout = any(_is_dash(path) or is_stdout(path) for path in outputs)
    if to_stdout and as_json:
        raise OptionError("--json writes to standard output, too: name a file for the output.")
    for path, (file, role) in itertools.product(outputs, _inputs(model, options)):
        if _same(path, file):
            raise OutputError(f"{path}: {role}: name another file.")
    for one, other in itertools.combinations(outputs, 2):
        if _same(one, other):
            raise OutputError(f"{other}: another output goes there, too: name another file.")
    return to_stdout


def _inputs(model: Path, options: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """The files that a command reads, each with what it is."""
    files = [(model, "is the model itself")]
    files += [(file, "holds the model's data") for file in data_files(model)]
    given = {**options, "config": click.get_current_context().meta.get(CONFIG)}
    for name in ("data", "labels", "policy", "config", "metric"):
        text = str(given.get(name) or "")
        if is_import_path(text):  # file.py:function
            files.append((Path(text.rpartition(":")[0]), f"is what --{name} reads"))
        elif text and name != "metric":
            files.append((Path(text), f"is what --{name} reads"))
    return files


def _is_dash(path: Path) -> bool:
    return str(path) == "-"


def _same(output: Path, other: Path) -> bool:
    """Whether both are one file, or standard output."""
    if _is_dash(output):
        return _is_dash(other) or is_stdout(other)
    return is_stdout(output) if _is_dash(other) else same_file(output, other)


def _write(path: Path, content: bytes) -> None:
    """Write to a file, or to standard output where that is called ``-`` or has a path."""
    if _is_dash(path) or is_stdout(path):
        write_stdout(content)
    else:
        write_file(path, content)


_DATA_FIELDS = (
    "labels", "split", "samples", "divide", "mean", "std", "layout", "color", "resize", "crop",
    "input_range",
)  # fmt: skip


def _print(
    text: str,
    values: Mapping[str, Any],
    notes: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    to_stderr: bool = False,
) -> None:
    for note in () if quiet else notes:
        click.echo(_wrapped(f"Note: {note}"), err=True)
    click.echo(json.dumps(values, allow_nan=False) if as_json else text, err=to_stderr)


def _wrapped(text: str) -> str:
    # Paths are left whole.
    return textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False)
