"""The command line. A command loads only what it needs, so heavy imports stand inside functions."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from search.terminal.commands import Commands
from search.terminal.options import (
    Address,
    BenchmarkName,
    Changes,
    Column,
    Columns,
    OutputFormat,
    OwnFiles,
    Quiet,
    ReportFile,
    Seconds,
    StudyFile,
    StudyFolder,
    StudyFolders,
    Tracker,
    TrialsPerFamily,
)

RESULTS = Path("results")


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
benchmarks_app = typer.Typer(rich_markup_mode=None, help="List, show and fetch benchmarks.")
app.add_typer(benchmarks_app, name="benchmarks")


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `seqtune`; it leaves by `SystemExit`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # whoever meets an error adds --debug at the end of the line
    first = ["--debug"] if "--debug" in given else []
    app(args=first + [word for word in given if word != "--debug"], prog_name="seqtune")


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from search.store.environment import installed_version

        typer.echo(f"seqtune {installed_version('seqtune')}")
        raise typer.Exit


@app.callback()
def seqtune(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Which family of sequence model is best on your problem, how surely, and at what cost.

    Exit codes: 0 done; 1 no trial completed; 2 wrong usage, configuration or data; 130 and 143
    interrupted, everything saved.
    """


@app.command()
def run(  # noqa: PLR0913, PLR0917 - the options of a command line
    study: Annotated[
        Path | None, typer.Argument(metavar="STUDY.toml", help="The study file.")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="A benchmark's name, instead of a study file.")
    ] = None,
    data: OwnFiles = None,
    task: Annotated[str | None, typer.Option(help="What is asked of your own data.")] = None,
    time: Column = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="COLUMN")] = None,
    target: Columns = None,
    text: Column = None,
    group: Column = None,
    horizon: Annotated[int | None, typer.Option(help="Steps to forecast.")] = None,
    families: Annotated[str | None, typer.Option(metavar="A,B,...", help="Who competes.")] = None,
    trials_per_family: TrialsPerFamily = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs of one trial.")] = None,
    seconds: Seconds = None,
    name: Annotated[str | None, typer.Option(help="The study's name.")] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the study's folder, its name, is made.")
    ] = RESULTS,
    seed: Annotated[int | None, typer.Option(help="The seed of every draw.")] = None,
    changes: Changes = None,
    address: Address = None,
    quiet: Quiet = False,
) -> None:
    """Run a study: search, confirm the finalists, print the leaderboard, export the winner."""
    from search.terminal.launch import launch
    from search.terminal.request import requested_study

    options = {
        "benchmark": benchmark,
        "data.data": [str(file) for file in data or ()] or None,
        "data.task": task,
        "data.time": time,
        "data.id": id_,
        "data.target": target,
        "data.text": text,
        "data.group": group,
        "data.horizon": horizon,
        "families": families and [family.strip() for family in families.split(",")],
        "name": name,
        "seed": seed,
        "budget.trials_per_family": trials_per_family,
        "budget.epochs": epochs,
        "budget.seconds": seconds,
    }
    asked = requested_study(study, options, changes or ())
    raise typer.Exit(launch(asked, out / asked.name, address=address, quiet=quiet))


@app.command()
def validate(study: StudyFile, changes: Changes = None) -> None:
    """Check a study file and everything that it names; nothing is trained or written."""
    from search.problem import Problem
    from search.study import Study

    checked = Study.load(study, changes or ())
    problem = Problem.of(checked)
    for line in problem.account:
        typer.echo(line)
    typer.echo(
        f"{study} is right: {', '.join(problem.spaces)} on {checked.benchmark_name} "
        f"({len(problem.dataset.train):,} examples to train on), judged by {problem.metric.name}"
    )


@app.command()
def resume(
    directory: StudyFolder,
    trials_per_family: TrialsPerFamily = None,
    seconds: Seconds = None,
    add_family: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY", help="One more family.")
    ] = None,
    changes: Changes = None,
    address: Address = None,
    quiet: Quiet = False,
) -> None:
    """Go on with a study that was interrupted, or that is to have more budget or families."""
    from search.terminal.launch import launch
    from search.terminal.request import extended_study, study_folder

    folder = study_folder(directory)
    options = {"budget.trials_per_family": trials_per_family, "budget.seconds": seconds}
    asked = extended_study(folder, options, add_family or (), changes or ())
    raise typer.Exit(launch(asked, folder, resume=True, address=address, quiet=quiet))


@app.command()
def status(directories: StudyFolders = None) -> None:
    """Where studies stand, whether they run or not."""
    from search.terminal.status import status_text

    typer.echo(status_text(directories or [RESULTS]), nl=False)


@app.command("watch")
def watch_study(directory: StudyFolder) -> None:
    """Follow a running study until it ends, or until Ctrl-C, which leaves it running."""
    from search.terminal.request import study_folder
    from search.terminal.watch import watch

    watch(study_folder(directory))


@app.command()
def leaderboard(
    directories: StudyFolders = None,
    by: Annotated[
        Literal["family", "pair", "setting", "trial"], typer.Option(help="What a row is about.")
    ] = "family",
    output_format: Annotated[
        Literal["table", "markdown", "csv", "json", "parquet"], typer.Option("--format")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
) -> None:
    """Who won, by how much and how surely; of one study or of many."""
    from search.results.leaderboard import VIEWS, Leaderboard

    board = Leaderboard(*(directories or [RESULTS]))
    if by == "setting":
        from search.insight.setting_view import SETTINGS

    view = SETTINGS if by == "setting" else VIEWS[by]
    if output is None:
        typer.echo(board.text(view, output_format), nl=False)
    else:
        board.write(output, view, output_format)


@app.command()
def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR")],
    output_format: Annotated[
        Literal["table", "markdown", "json"], typer.Option("--format")
    ] = "table",
) -> None:
    """Families over several studies: mean ranks, Friedman and Nemenyi tests."""
    from search.insight.comparison import Comparison

    typer.echo(Comparison.of(*directories).text(output_format), nl=False)


@app.command()
def report(directory: StudyFolder, output: ReportFile = None) -> None:
    """Write the study as one page: verdict, leaderboard, charts, cost, how to repeat it."""
    from search.report.report import write_report
    from search.terminal.request import study_folder

    typer.echo(f"the report is in {write_report(study_folder(directory), output)}")


@app.command()
def export(
    directory: StudyFolder,
    family: Annotated[str | None, typer.Option(help="The best of this family.")] = None,
    trial: Annotated[int | None, typer.Option(metavar="N", help="This very trial.")] = None,
    to: Annotated[Tracker | None, typer.Option(help="All trials, for this tool.")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX files, too.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="The new folder; DIR/best if none."),
    ] = None,
) -> None:
    """Write a trained model to a folder, with config, numbers and card: the winner, or another."""
    from search.terminal.request import study_folder

    folder = study_folder(directory)
    if to is not None:
        from search.tracking import track

        if family is not None or trial is not None:
            raise ValueError("--to takes the whole study, without --family and --trial")
        typer.echo(track(folder, to, output))
        return
    from search.export import export_model

    typer.echo(export_model(folder, output, family=family, trial=trial, onnx=onnx))


@app.command()
def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="Such as best/config.toml.")
    ],
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Another number of epochs.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of torch.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that came with an exported model.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train one configuration in this process; one that was exported meets its value again."""
    from search.terminal.solo import train_alone

    options = {"seed": seed, "epochs": epochs, "threads": threads}
    given = {name: value for name, value in options.items() if value is not None}
    train_alone(config, given, trust=trust, say=(lambda line: None) if quiet else typer.echo)


@app.command()
def spaces(
    family: Annotated[str | None, typer.Argument(metavar="FAMILY")] = None,
    causal: Annotated[bool, typer.Option("--causal", help="For tasks without a future.")] = False,
    output_format: OutputFormat = "table",
) -> None:
    """The families; or what may vary in one: model and training, with ranges and defaults."""
    from search.terminal.listing import families_text, space_text

    if family is None:
        typer.echo(families_text(output_format), nl=False)
    else:
        typer.echo(space_text(family, output_format, causal=causal), nl=False)


@app.command()
def check(
    family: Annotated[str, typer.Argument(metavar="FILE.py:Class", help="Or a built-in family.")],
) -> None:
    """Try on a family of your own everything that the built-in ones promise."""
    from trainers.catalog import load_family
    from trainers.checks import check_family

    findings = check_family(load_family(family))
    for finding in findings:
        typer.echo(f"{'advice' if finding.advice else 'broken'}: {finding.message}")
    broken = sum(not finding.advice for finding in findings)
    if broken:
        raise ValueError(f"{family} must keep every promise, it breaks {broken}")
    typer.echo(f"{family} keeps every promise")


@benchmarks_app.callback(invoke_without_command=True)
def benchmarks(ctx: typer.Context) -> None:
    """The benchmarks; without a command, the list."""
    if ctx.invoked_subcommand is None:
        list_benchmarks()


@benchmarks_app.command("list")
def list_benchmarks(output_format: OutputFormat = "table") -> None:
    """All benchmarks."""
    from search.terminal.listing import benchmarks_text

    typer.echo(benchmarks_text(output_format), nl=False)


@benchmarks_app.command("show")
def show_benchmark(name: BenchmarkName, output_format: OutputFormat = "table") -> None:
    """All about one benchmark."""
    from search.terminal.listing import benchmark_text

    typer.echo(benchmark_text(name, output_format), nl=False)


@benchmarks_app.command("fetch")
def fetch_benchmark(name: BenchmarkName) -> None:
    """Download a benchmark's files into the cache, or check those that are there."""
    from search.terminal.listing import fetch_text

    typer.echo(fetch_text(name), nl=False)
