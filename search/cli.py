"""The command line. See `search.commands`."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from search.commands.benchmarks import benchmarks_app
from search.commands.cluster import cluster_app
from search.commands.group import Commands
from search.commands.models import check, export, predict, spaces, train
from search.commands.results import compare, leaderboard, report
from search.commands.studies import (
    confirm,
    plan,
    resume,
    run,
    schema,
    status,
    stop,
    validate,
    watch,
)

COMMANDS = (
    run,
    plan,
    validate,
    resume,
    status,
    watch,
    stop,
    confirm,
    leaderboard,
    compare,
    report,
    export,
    predict,
    train,
    spaces,
    check,
    schema,
)
"""In the order in which the help lists them."""


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(benchmarks_app, name="benchmarks")
app.add_typer(cluster_app, name="cluster")


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

    Exit codes: 0 done; 1 no trial completed; 2 wrong usage, configuration or data; 130, 138 and 143
    interrupted, everything saved.
    """
