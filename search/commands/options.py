"""Options and arguments that several commands share."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

RESULTS = Path("results")

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
StudyFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The study's folder.")]
StudyFolders = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="DIR", help="Studies' folders, or folders of studies; ./results if none."
    ),
]
BenchmarkName = Annotated[str, typer.Argument(metavar="NAME", help="The benchmark's name.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change any key, such as budget.epochs=5."),
]
TrialsPerFamily = Annotated[int | None, typer.Option(help="Trials that each family may begin.")]
Seconds = Annotated[float | None, typer.Option(help="Wall-clock seconds of the search.")]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="A running Ray cluster; else this machine.")
]
OwnFiles = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Your own data, instead of a benchmark."),
]
Column = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of your own data.")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--target", "--label", metavar="COLUMN", help="What to predict."),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Go on without this terminal, once it has begun.")
]
OnFinish = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND", help="Run this at the end, with SEQTUNE_STUDY and SEQTUNE_EXIT_CODE set."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run the code that came with an exported model.")
]
OutputFormat = Annotated[
    Literal["table", "json"], typer.Option("--format", help="A table for people, or JSON.")
]
ReportFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", help="DIR/report.html if none."),
]
Tracker = Literal["tensorboard", "optuna", "mlflow"]


def options_of(
    command: Callable[..., None], *without: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command that takes the options of another, but for some, as a mapping."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def taking(**given: Any) -> None:
            function(**given)

        whole = signature(command)
        kept = [option for name, option in whole.parameters.items() if name not in without]
        taking.__annotations__ = command.__annotations__
        taking.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined] # typer reads it
        return taking

    return decorate
