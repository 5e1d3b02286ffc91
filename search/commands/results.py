"""Commands that show what came out of studies."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from search.commands.options import RESULTS, ReportFile, StudyFolder, StudyFolders
from search.terminal.failures import exit_code


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
    family: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY", help="Only rows about this family.")
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only studies on this benchmark.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="Only such rows: 'parameters < 1e6'."),
    ] = None,
) -> None:
    """Who won, by how much and how surely; of one study or of many."""
    from search.results.leaderboard import VIEWS, Leaderboard

    board = Leaderboard(*(directories or [RESULTS]), benchmarks=benchmark or ())
    if by == "setting":
        from search.insight.setting_view import SETTINGS

    view = SETTINGS if by == "setting" else VIEWS[by]
    if family or where:
        from search.results.selection import Selection

        view = Selection(family or (), where).of(board, view)
    if output is None:
        typer.echo(board.text(view, output_format) or "no row is left\n", nl=False)
    else:
        board.write(output, view, output_format)


def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR")],
    output_format: Annotated[
        Literal["table", "markdown", "json"], typer.Option("--format")
    ] = "table",
) -> None:
    """Families over several studies: mean ranks, Friedman and Nemenyi tests."""
    from search.insight.comparison import Comparison

    typer.echo(Comparison.of(*directories).text(output_format), nl=False)


def report(
    directory: StudyFolder,
    output: ReportFile = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show it to browsers on this machine, while it grows.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="With --serve; 8050 if none, 0 for any.")
    ] = None,
) -> None:
    """Write the study as one page: verdict, leaderboard, charts, cost, how to repeat it."""
    from search.report.report import write_report
    from search.store.mirror import handed_on
    from search.terminal.request import study_folder

    if serve:
        from search.report.serving import PORT, serve_report

        if output is not None:
            raise ValueError("--serve writes no file; leave --output out")
        chosen = PORT if port is None else port
        try:
            serve_report(study_folder(directory), chosen, typer.echo)
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(exit_code(interrupt)) from None
    if port is not None:
        raise ValueError("--port has a meaning with --serve only")
    folder = study_folder(directory)
    typer.echo(f"the report is in {handed_on(folder, write_report(folder, output))}")
