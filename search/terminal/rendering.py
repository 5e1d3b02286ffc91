"""Files that run a study on a cluster: what of it they need, and where they are put."""

import sys
from pathlib import Path

import typer

from cluster.bucket import url_of
from cluster.work import Work
from search.study import Study
from search.study_file import read_toml


def work_of(
    study: Path, *, out: Path, folder: str | None, python: str | None, setup: str | None
) -> Work:
    """The study of a file, as a cluster is to run it.

    Args:
        folder: Where it is started there; None: the folder we are in.
        python: The Python there; None: this one.

    Raises:
        OSError: The file cannot be read.
        ValueError: The study is wrong.
    """
    name = Study.load(study).name
    here = folder if folder is not None else str(Path.cwd())
    return Work(name, str(study), url_of(out) or str(out), here, python or sys.executable, setup)


def companions(study: Path) -> dict[str, str]:
    """The text of the user's own families that a study names, by path; data must be elsewhere.

    Raises:
        OSError: A file cannot be read.
        ValueError: The study has data files that are named by where they are here.
    """
    mapping = read_toml(study)
    data = mapping.get("data", {})
    for key in ("data", "valid", "test"):
        files = data.get(key, [])
        for file in [files] if isinstance(files, str) else files:
            if not Path(file).is_absolute():
                raise ValueError(
                    f"`data.{key}` must say where the pods find the file, such as "
                    f"/results/{Path(file).name} in the claim, got {file!r}"
                )
    own = [name.rpartition(":")[0] for name in mapping["families"] if ".py:" in name]
    return {file: Path(file).read_text("utf-8") for file in own}


def give(text: str, output: Path | None) -> None:
    """Print a rendered file, or write it.

    Raises:
        OSError: It cannot be written.
    """
    if output is None:
        typer.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    if text.startswith("#!"):
        output.chmod(0o755)
    typer.echo(f"{output}: how to use it is said at its top")
