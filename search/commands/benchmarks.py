"""Commands about benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

from search.commands.options import BenchmarkName, OutputFormat


def list_benchmarks(output_format: OutputFormat = "table") -> None:
    """All benchmarks."""
    from search.terminal.listing import benchmarks_text

    typer.echo(benchmarks_text(output_format), nl=False)


def show_benchmark(
    name: BenchmarkName,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.html|.svg", help="Plot an example to this file.")
    ] = None,
    output_format: OutputFormat = "table",
) -> None:
    """All about one benchmark, with an example drawn as text."""
    from search.terminal.listing import benchmark_text

    typer.echo(benchmark_text(name, output_format, plot), nl=False)


def fetch_benchmark(name: BenchmarkName) -> None:
    """Download a benchmark's files into the cache, or check those that are there."""
    from search.terminal.listing import fetch_text

    typer.echo(fetch_text(name), nl=False)


benchmarks_app = typer.Typer(rich_markup_mode=None, help="List, show and fetch benchmarks.")
benchmarks_app.command("list")(list_benchmarks)
benchmarks_app.command("show")(show_benchmark)
benchmarks_app.command("fetch")(fetch_benchmark)


@benchmarks_app.callback(invoke_without_command=True)
def benchmarks(ctx: typer.Context) -> None:
    """The benchmarks; without a command, the list."""
    if ctx.invoked_subcommand is None:
        list_benchmarks()
