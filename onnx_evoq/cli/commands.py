"""The commands: each calls one Python function, writes its model and prints its result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import onnx_evoq
from onnx_evoq.cli.arguments import arguments_of
from onnx_evoq.cli.log_file import Log, logged
from onnx_evoq.cli.main_group import main
from onnx_evoq.cli.options import (
    CHOICE_OPTIONS,
    COMMON_OPTIONS,
    DATA_OPTIONS,
    DURATION,
    GRANULARITY,
    GRID_OPTIONS,
    HOLDOUT,
    METRIC,
    MODEL,
    OPTIMIZE_OPTIONS,
    REPORT,
    REQUANTIZE,
    RESOURCE_OPTIONS,
    SCORE_AT,
    SEARCH_OPTIONS,
    SPACE_OPTIONS,
    STRATEGY_OPTIONS,
    TARGET,
    WIDTH_OPTIONS,
)
from onnx_evoq.cli.output_paths import (
    check_ending,
    check_outputs,
    show,
    target_of,
    write,
    write_model,
)
from onnx_evoq.cli.report_file import check_report, write_report
from onnx_evoq.cli.reporting import reporting
from onnx_evoq.cli.run_folder import RUN_FOLDER, folder_of, keep_result, saying_how_to_go_on
from onnx_evoq.errors import BudgetError, OptionError
from onnx_evoq.model import c_header_of, load
from onnx_evoq.report import (
    check_picture,
    evaluation_text,
    inspection_text,
    result_text,
    search_picture,
    search_text,
    sensitivity_text,
)
from onnx_evoq.run import keeping_what_was_found
from onnx_evoq.setup import MAX_BITS, MIN_BITS


@main.command(short_help="Quantize a model, and search for better codes.")
@MODEL
@WIDTH_OPTIONS
@DATA_OPTIONS
@METRIC
@SCORE_AT
@GRANULARITY
@GRID_OPTIONS
@REQUANTIZE
@STRATEGY_OPTIONS
@TARGET
@OPTIMIZE_OPTIONS
@REPORT
@RUN_FOLDER
@HOLDOUT
@COMMON_OPTIONS
@RESOURCE_OPTIONS
@reporting
@logged
def optimize(
    model: Path,
    output: Path | None,
    form: str | None,
    bits_for: tuple[tuple[str, int], ...],
    report: Path | None,
    run_dir: Path | None,
    quiet: bool,
    as_json: bool,
    log: Log,
    **options: Any,
) -> None:
    """Quantize MODEL, and search for codes that keep its answers.

    Writes the quantized model. Prints the scores of the float model, of nearest rounding, of the
    start of the search, and of the model that was written.
    """
    if (options["bits"] is None) == (options["policy"] is None):
        raise click.UsageError("Give either --bits or --policy.")
    kind = "mixed" if options["bits"] is None else f"w{options['bits']}"
    if options["activations"] is not None:
        kind += f"a{options['activations']}"
    header = form == "c"
    runtime = options["target"] or ("qonnx" if form == "qonnx" else None)
    kind += "" if runtime is None else f".{runtime}"
    check_ending(output, header)
    target = target_of(model, output, kind, "h" if header else "onnx")
    outputs = [target, *check_report(report), *log.paths]
    to_stdout = check_outputs(outputs, model, options, as_json)
    folder = folder_of(run_dir)
    log.begin()
    with saying_how_to_go_on(folder):
        result = onnx_evoq.optimize(
            model,
            details=report is not None or folder is not None,
            run_dir=folder,
            bits_for=dict(bits_for),
            format=form,  # type: ignore[arg-type]  # click checked the choices
            **arguments_of(options, quiet, log.watching),
        )
    with keeping_what_was_found():
        name = str(target)
        if header:
            content = c_header_of(load(result.model, quantized=True), str(model)).encode()
            write(target, content)
            result = replace(result, bytes_after=len(content))
        else:
            result, name = write_model(target, result)
        values = write_report(report, result.to_dict(target))
        text, notes = result_text(result, name), (*result.notes, *keep_result(folder, values))
        show(text, values, notes, quiet, as_json, to_stdout)
        log.finish(values, notes)


@main.command(short_help="Search for a width per layer: size against error.")
@MODEL
@DATA_OPTIONS
@METRIC
@SCORE_AT
@SPACE_OPTIONS
@GRID_OPTIONS
@REQUANTIZE
@TARGET
@CHOICE_OPTIONS
@SEARCH_OPTIONS
@REPORT
@RUN_FOLDER
@HOLDOUT
@COMMON_OPTIONS
@RESOURCE_OPTIONS
@reporting
@logged
def search(
    model: Path,
    output: Path | None,
    save_policy: Path | None,
    picture: Path | None,
    report: Path | None,
    run_dir: Path | None,
    quiet: bool,
    as_json: bool,
    log: Log,
    **options: Any,
) -> None:
    """Search for the width of each layer: the lowest output error at each size.

    Also chooses the granularity of each layer, and channels to split. Prints the points that no
    other point beats in both size and error, and for comparison one width for all layers, and
    widths by sensitivity alone. With --budget or --max-drop, one point is chosen and optimized, and
    the model is written. With --policy, a saved point is optimized without a search.
    """
    choosing = any(options[name] is not None for name in ("budget", "max_drop", "policy"))
    for given, name in ((output, "--output"), (save_policy, "--save-policy")):
        if given is not None and not choosing:
            raise OptionError(f"{name} needs a choice: give --budget, --max-drop or --policy.")
    if options["policy"] is not None and (options["budget"] is not None or picture is not None):
        raise OptionError("--policy makes no search: leave --budget and --picture out.")
    check_ending(output, header=False)
    runtime = options["target"]
    target = target_of(model, output, "mixed" if runtime is None else f"mixed.{runtime}")
    outputs = [path for path in (target if choosing else None, save_policy, picture) if path]
    outputs += [*check_report(report), *log.paths]
    to_stdout = check_outputs(outputs, model, options, as_json)
    if picture is not None:
        check_picture(picture)
    folder = folder_of(run_dir)
    log.begin()
    try:
        with saying_how_to_go_on(folder):
            found = onnx_evoq.search_and_optimize(
                model,
                details=report is not None or folder is not None,
                run_dir=folder,
                **arguments_of(options, quiet, log.watching),
            )
    except BudgetError as error:  # the front shows what can be reached
        if error.search is not None:
            with keeping_what_was_found():
                _draw(error.search, picture)
                values, notes = error.search.to_dict(), error.search.notes
                values = write_report(report, values)
                show(search_text(error.search), values, notes, quiet, as_json, to_stdout)
        raise
    with keeping_what_was_found():
        texts = []
        if found.search is not None:
            _draw(found.search, picture)
            texts.append(search_text(found.search))
        if found.result is not None:
            texts.append(result_text(*write_model(target, found.result)))
        if save_policy is not None and found.chosen is not None:
            write(save_policy, found.policy_json())
        text = "\n\n".join(texts)
        values = write_report(report, found.to_dict(target))
        notes = (*found.notes, *keep_result(folder, values))
        show(text, values, notes, quiet, as_json, to_stdout)
        log.finish(values, notes)


def _draw(found: onnx_evoq.Search, picture: Path | None) -> None:
    if picture is not None:
        search_picture(found, picture)


@main.command(short_help="Rank weights by sensitivity.")
@MODEL
@click.option(
    "--bits",
    type=click.IntRange(MIN_BITS, MAX_BITS),
    default=4,
    show_default=True,
    help="The width at which each weight is tried, in bits.",
)
@DATA_OPTIONS
@METRIC
@SCORE_AT
@GRANULARITY
@GRID_OPTIONS
@REQUANTIZE
@click.option(
    "--time-budget",
    type=DURATION,
    default="none",
    show_default=True,
    help="Time that all of it may take: 90s, 10m, 2h, or none. Where it is short, the weights are "
    "scored on the first samples only.",
)
@COMMON_OPTIONS
@RESOURCE_OPTIONS
@reporting
@logged
def sensitivity(model: Path, quiet: bool, as_json: bool, log: Log, **options: Any) -> None:
    """Rank the weights of MODEL by sensitivity: its score when each of them alone is quantized."""
    to_stdout = check_outputs(log.paths, model, options, as_json)
    log.begin()
    ranking = onnx_evoq.rank_sensitivity(model, **arguments_of(options, quiet, log.watching))
    values = ranking.to_dict()
    show(sensitivity_text(ranking), values, ranking.notes, quiet, as_json, to_stdout)
    log.finish(values, ranking.notes)


@main.command(short_help="Score a model, float or quantized.")
@MODEL
@DATA_OPTIONS
@METRIC
@SCORE_AT
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FLOAT_MODEL",
    help="Also compare the outputs with those of this model: share of equal answers, mean squared "
    "error, Kullback-Leibler divergence.",
)
@COMMON_OPTIONS
@reporting
def evaluate(model: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """Score MODEL, float or quantized; best on data that no search has seen."""
    evaluation = onnx_evoq.evaluate(model, **arguments_of(options, quiet))
    show(evaluation_text(evaluation), evaluation.to_dict(), evaluation.notes, quiet, as_json)


@main.command(short_help="List the weights of a model.")
@MODEL
@REQUANTIZE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@reporting
def inspect(model: Path, requantize: bool, as_json: bool) -> None:
    """List the weights of MODEL, and say why other initializers are not quantized.

    Shows the operator, the shape, the channel axis, the integer bits, the range, whether the output
    channels can be split (if not, why), and the bytes at each width.
    """
    inspection = onnx_evoq.inspect(model, requantize=requantize)
    show(inspection_text(inspection), inspection.to_dict(), (), False, as_json)
