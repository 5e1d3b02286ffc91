"""Commands about models: take one away, train one, look at what there is."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from search.commands.options import OutputFormat, Quiet, StudyFolder, Tracker, Trust


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


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="Such as best/config.toml.")
    ],
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Another number of epochs.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of torch.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="New files, in place of those it was trained on."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="Export the trained model to here."),
    ] = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Train one configuration in this process; one that was exported meets its value again."""
    from search.terminal.solo import train_alone

    options = {"seed": seed, "epochs": epochs, "threads": threads}
    given = {name: value for name, value in options.items() if value is not None}
    train_alone(
        config,
        given,
        data=data or (),
        output=output,
        trust=trust,
        say=(lambda line: None) if quiet else typer.echo,
    )


def predict(
    exported: Annotated[
        Path, typer.Argument(metavar="EXPORTED", help="An exported model, such as best.")
    ],
    file: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A file of the kind it was trained on.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="Write to a file; else print."),
    ] = None,
    output_format: Annotated[
        Literal["text", "csv", "json", "jsonl", "parquet"] | None,
        typer.Option("--format", help="As the name of OUT ends, if none; printed is CSV, or text."),
    ] = None,
    trust: Trust = False,
) -> None:
    """Ask an exported model: forecasts, classes with probabilities, numbers, tags or text."""
    from search.terminal.answers import answer_file

    text, notes = answer_file(exported, file, output, output_format, trust=trust)
    for note in notes:
        typer.echo(note, err=True)
    typer.echo(text, nl=False)


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


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:Class", help="A family, or a benchmark; or a built-in one."
        ),
    ],
) -> None:
    """Try on a family or a benchmark of your own everything that the built-in ones promise."""
    from search.terminal.conformance import findings_of

    findings = findings_of(name)
    for finding in findings:
        typer.echo(f"{'advice' if finding.advice else 'broken'}: {finding.message}")
    broken = sum(not finding.advice for finding in findings)
    if broken:
        raise ValueError(f"{name} must keep every promise, it breaks {broken}")
    typer.echo(f"{name} keeps every promise")
