"""What README and docs list is what there is; `pytest --update-golden` renews the lists."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from typer.core import TyperGroup

from search.cli import app
from search.study import Study
from trainers.benchmarks import BENCHMARKS
from trainers.models import MODELS

ROOT = Path(__file__).parents[1]
PACKAGES = ("spaces", "trainers", "cluster", "search")
PAGES = {
    "README.md": ("commands", "families", "benchmarks", "tree"),
    "docs/study-file.md": ("keys",),
}


def rows(*columns: str, cells: Iterator[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def families() -> str:
    cells = (
        (f"`{name}`", first_line(kind.__doc__), kind.reference) for name, kind in MODELS.items()
    )
    return rows("family", "what it is", "reference", cells=cells)


def benchmarks() -> str:
    cells = (
        (f"`{name}`", kind.summary, kind.task, kind.metric, size(kind.size_bytes()))
        for name, kind in BENCHMARKS.items()
    )
    return rows("benchmark", "problem", "task", "metric", "download", cells=cells)


def size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count else "none"


def commands() -> str:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    cells = (
        (f"`seqtune {name}`", first_line(command.callback.__doc__))
        for name, command in group.commands.items()
    )
    return rows("command", "what it does", cells=cells)


def keys() -> str:
    return rows("key", "default", "meaning", cells=keys_of(Study))


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        if nested:
            yield from keys_of(kind, f"{prefix}{name}.")
        else:
            default = "must be given" if field.is_required() else f"`{default_of(field.default)}`"
            yield f"`{prefix}{name}`", default, str(field.description)


def default_of(value: object) -> str:
    return {None: "not set", "auto": '"auto"'}.get(value, str(value)) if value != {} else "{}"


def tree() -> str:
    lines = []
    for package in PACKAGES:
        lines += tree_of(ROOT / package, 0)
    return "\n".join(["```text", *lines, "```"])


def tree_of(folder: Path, depth: int) -> list[str]:
    """The folder, its files and then its folders, each with the first line of its docstring."""
    lines = [entry(f"{folder.name}/", folder / "__init__.py", depth)]
    files = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
    lines += [entry(file.name, file, depth + 1) for file in files]
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines += tree_of(inner, depth + 1)
    return lines


def entry(name: str, file: Path, depth: int) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    assert docstring, f"{file} says nothing of itself"
    return f"{'  ' * depth + name:<26}{first_line(docstring)}"


def first_line(docstring: str | None) -> str:
    assert docstring
    return docstring.strip().splitlines()[0].removesuffix(".")


LISTS = {
    "commands": commands,
    "families": families,
    "benchmarks": benchmarks,
    "tree": tree,
    "keys": keys,
}


@pytest.mark.parametrize(("page", "name"), [(p, name) for p in PAGES for name in PAGES[p]])
def test_lists_are_what_there_is(page: str, name: str, pytestconfig: pytest.Config) -> None:
    file = ROOT / page
    text = file.read_text("utf-8")
    block = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    found, expected = block.search(text), LISTS[name]()
    assert found, f"{page} has no list between <!-- {name} --> and <!-- /{name} -->"
    if pytestconfig.getoption("--update-golden"):
        file.write_text(block.sub(lambda at: f"{at[1]}{expected}\n{at[3]}", text), "utf-8")
    else:
        assert found[2] == f"{expected}\n", "run: pytest tests/test_readme.py --update-golden"


def code_blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        pattern = rf"```{language}\n(.*?)```"
        for block in re.findall(pattern, page.read_text("utf-8"), re.DOTALL):
            yield page.name, block


def test_commands_in_the_pages_are_ones_there_are() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    told = [
        shlex.split(line, comments=True)
        for _, block in code_blocks("sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    ours = [words[1:] for words in told if words[:1] == ["seqtune"]]
    assert len(ours) >= 9
    for name, *words in ours:
        assert name in group.commands
        command: Any = group.commands[name]
        while isinstance(command, TyperGroup) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        asked = [command]
        unknown = command.context_settings.get("ignore_unknown_options")
        if unknown:  # they are those of the command that it is given
            asked += [group.commands[word] for word in words if word in group.commands]
        options = {option for each in asked for p in each.params for option in p.opts}
        assert {word for word in words if word.startswith("-")} <= options, f"seqtune {name}"


def test_targets_of_make_in_the_pages_are_ones_there_are() -> None:
    for _, block in code_blocks("sh"):
        for target in re.findall(r"^make (\w+)", block, re.MULTILINE):
            subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_study_files_in_the_pages_are_right(tmp_path: Path) -> None:
    studies = [block for _, block in code_blocks("toml") if "families" in block]
    assert studies
    for number, block in enumerate(studies):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, "utf-8")
        Study.load(file)
