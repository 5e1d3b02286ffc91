"""Commands that run studies and follow them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from search.commands.options import (
    RESULTS,
    Address,
    Changes,
    Column,
    Columns,
    Detach,
    OnFinish,
    OwnFiles,
    Quiet,
    Seconds,
    StudyFile,
    StudyFolder,
    StudyFolders,
    TrialsPerFamily,
    options_of,
)

if TYPE_CHECKING:
    from search.extension import Extension
    from search.study import Study


def run(
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
    level: Annotated[
        str | None, typer.Option(help="What a language model foretells: word or character.")
    ] = None,
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
    detach: Detach = False,
    on_finish: OnFinish = None,
    quiet: Quiet = False,
) -> None:
    """Run a study: search, confirm the finalists, print the leaderboard, export the winner."""
    given = locals()
    from search.terminal.request import options_by_key, requested_study

    asked = requested_study(study, options_by_key(given), changes or ())
    _launch(
        asked, out / asked.name, address=address, detach=detach, on_finish=on_finish, quiet=quiet
    )


@options_of(run, "address", "detach", "on_finish", "quiet")
def plan(**given: Any) -> None:
    """What a study would take: device time, memory, disk; short runs, and nothing is begun."""
    from search.terminal.planning import plan_text
    from search.terminal.request import options_by_key, requested_study

    asked = requested_study(given["study"], options_by_key(given), given["changes"] or ())
    typer.echo(plan_text(asked, given["out"] / asked.name), nl=False)


def validate(study: StudyFile, changes: Changes = None) -> None:
    """Check a study file and everything that it names; nothing is trained or written."""
    from search.earlier import earlier_trials, told_in_words
    from search.problem import Problem
    from search.study import Study

    checked = Study.load(study, changes or ())
    problem = Problem.of(checked)
    earlier = earlier_trials(checked, problem)
    for line in (*problem.account, *told_in_words(problem, earlier)):
        typer.echo(line)
    typer.echo(
        f"{study} is right: {', '.join(problem.spaces)} on {checked.benchmark_name} "
        f"({len(problem.dataset.train):,} examples to train on), judged by {problem.metric.name}"
    )


def resume(
    directory: StudyFolder,
    trials_per_family: TrialsPerFamily = None,
    seconds: Seconds = None,
    add_family: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY", help="One more family.")
    ] = None,
    changes: Changes = None,
    address: Address = None,
    detach: Detach = False,
    on_finish: OnFinish = None,
    quiet: Quiet = False,
) -> None:
    """Go on with a study that was interrupted, or have it go on with more, also while it runs."""
    from search.extension import Extension

    options = {"budget.trials_per_family": trials_per_family, "budget.seconds": seconds}
    asked = Extension(options, tuple(add_family or ()), tuple(changes or ()))
    _go_on(directory, asked, address=address, detach=detach, on_finish=on_finish, quiet=quiet)


def confirm(
    directory: StudyFolder,
    top_per_family: Annotated[
        int | None, typer.Option(min=1, help="Configurations of each family.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of each.")] = None,
    address: Address = None,
    quiet: Quiet = False,
) -> None:
    """Train the best of each family on more seeds, or more of them; the search stays as it is."""
    from search.extension import Extension

    options = {"confirm.top_per_family": top_per_family, "confirm.seeds": seeds}
    _go_on(directory, Extension(options), address=address, quiet=quiet)


def _go_on(place: Path, extension: "Extension", **launching: Any) -> None:
    """Run an extended study, or have the driver that runs it take the extension up."""
    from search.terminal.extending import extend_running
    from search.terminal.request import study_folder

    folder = study_folder(place)
    if not extend_running(folder, extension, typer.echo):
        _launch(extension.of(folder), folder, resume=True, **launching)


def _launch(
    study: "Study",
    folder: Path,
    *,
    resume: bool = False,
    address: str | None,
    detach: bool = False,
    on_finish: str | None = None,
    quiet: bool,
) -> NoReturn:
    """Run the study to its end, here or without the terminal; leave with its exit code."""
    from search.store.copies import shown, workplace
    from search.terminal.detaching import leave_terminal
    from search.terminal.notice import noticed

    folder = workplace(folder, resume=resume)
    if detach:
        code = leave_terminal(folder, typer.echo)
        if code is not None:
            raise typer.Exit(code)
    with noticed(on_finish, shown(folder)):
        from search.terminal.launch import launch

        code = launch(study, folder, resume=resume, address=address, quiet=quiet)
        raise typer.Exit(code)


def stop(
    directory: StudyFolder,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Only this trial.")] = None,
) -> None:
    """End a running study with everything saved, or one of its trials, from any terminal."""
    from search.terminal.request import study_folder
    from search.terminal.stopping import stop as stop_running

    stop_running(study_folder(directory), trial, typer.echo)


def schema() -> None:
    """The JSON Schema of the study file, for editors."""
    from search.terminal.schema import schema_text

    typer.echo(schema_text(), nl=False)


def status(directories: StudyFolders = None) -> None:
    """Where studies stand, whether they run or not."""
    from search.terminal.status import status_text

    typer.echo(status_text(directories or [RESULTS]), nl=False)


def watch(directory: StudyFolder) -> None:
    """Follow a running study until it ends, or until Ctrl-C, which leaves it running."""
    from search.terminal.request import study_folder
    from search.terminal.watch import follow

    follow(study_folder(directory))
