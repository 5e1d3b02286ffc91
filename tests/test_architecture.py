"""The house rules that no type checker sees: who may import whom, and what stands where."""

import ast
import graphlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("spaces", "trainers", "cluster", "search")

MAY_IMPORT = {
    "spaces": set(),
    "trainers": {"spaces"},
    "cluster": set(),
    "search": {"spaces", "trainers", "cluster"},
}
HOMES = {
    "torch": r"trainers/.*",
    "triton": r"trainers/models/recurrence/persistent\.py",
    "ray": r"search/runner/(leases|tune|private)\.py|cluster/(connect|jobs|preflight)\.py",
    # two samplers are its own, through one file that speaks its language; in tracking, it writes
    # a study as a storage of its own, for optuna-dashboard
    "optuna": r"search/(samplers/(optuna_records|tpe|gaussian_process)"
    r"|insight/analysis|tracking/optuna_storage)\.py",
}
DEFERRED_IMPORTS = re.compile(r"search/(cli|__init__|commands/\w+)\.py")
TOP_FOLDERS = {*PACKAGES, "tests", "examples", "docs", "perf"}
TOP_FILES = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "Makefile",
    "constraints.txt",
}
DISTRIBUTIONS = {
    "mlflow": "mlflow-skinny",
    "sklearn": "scikit-learn",
    "tomli_w": "tomli-w",
    "yaml": "pyyaml",
}
EXTRAS = ("onnx", "tracking")  # what a module of its own needs that few people want
BROUGHT = {"triton"}  # by builds of torch for CUDA; on a processor nothing imports it
LONGEST_FILE = 350


def sources() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def place(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported; `from a import b` gives `a` and `a.b`, as b may be one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(where: str, source: str) -> list[str]:
    """The words in which one file breaks the table of imports."""
    package = where.split("/", maxsplit=1)[0]
    found = []
    for name in sorted({module.split(".")[0] for module in imported_modules(ast.parse(source))}):
        if name in MAY_IMPORT and name not in MAY_IMPORT[package] | {package}:
            found.append(f"{where} must not import {name}")
        if name in HOMES and not re.fullmatch(HOMES[name], where):
            found.append(f"{where} must not import {name}")
        if package == "spaces" and name != package and name not in sys.stdlib_module_names:
            found.append(f"{where} must not import {name}: spaces has the standard library only")
    return found


def test_third_party_packages_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [
        *project["dependencies"],
        *(words for name in EXTRAS for words in extras.get(name, ())),
    ]
    declared = {re.split(r"[\[<>=]", words)[0] for words in needed}
    imported = {
        name.split(".")[0]
        for file in sources()
        for name in imported_modules(ast.parse(file.read_text("utf-8")))
    }
    outside = imported - set(PACKAGES) - set(sys.stdlib_module_names)
    assert {DISTRIBUTIONS.get(name, name) for name in outside - BROUGHT} <= declared


def imports_inside_functions(source: str) -> list[int]:
    """The lines of imports that are not at the top of a module."""
    functions = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    )
    return sorted(
        {
            child.lineno
            for function in functions
            for child in ast.walk(function)
            if isinstance(child, ast.Import | ast.ImportFrom)
        }
    )


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("spaces/space.py", "import numpy"),
        ("spaces/space.py", "from trainers import catalog"),
        ("cluster/slurm.py", "import search.study"),
        ("cluster/slurm.py", "import ray"),
        ("search/study.py", "from torch import nn"),
        ("search/store/store.py", "import ray.tune"),
        ("search/samplers/evolution.py", "import optuna"),
        ("search/runner/desk.py", "import ray"),
        ("trainers/training/loop.py", "def f():\n    import ray"),
        ("trainers/models/recurrence/choice.py", "import triton"),
    ],
)
def test_the_rule_catches(where: str, source: str) -> None:
    assert violations(where, source)


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("search/runner/leases.py", "import ray"),
        ("trainers/models/tcn.py", "from torch import nn\nfrom spaces import Int"),
        ("search/samplers/tpe.py", "import optuna"),
        ("spaces/space.py", "import math\nfrom spaces.parameters import Int"),
    ],
)
def test_the_rule_allows(where: str, source: str) -> None:
    assert violations(where, source) == []


def test_packages_import_only_what_they_may() -> None:
    assert [
        words for file in sources() for words in violations(place(file), file.read_text("utf-8"))
    ] == []


def test_no_file_imports_inside_a_function() -> None:
    assert imports_inside_functions("def f():\n    import json\nimport re") == [2]
    assert [
        f"{place(file)}:{line}"
        for file in sources()
        if not DEFERRED_IMPORTS.fullmatch(place(file))
        for line in imports_inside_functions(file.read_text("utf-8"))
    ] == []


def test_no_import_cycles() -> None:
    names = {module_name(file): file for file in sources()}
    graph = {
        name: {
            module
            for module in imported_modules(ast.parse(file.read_text("utf-8")))
            if module in names and module != name
        }
        # what is imported lazily closes no circle when the module is loaded
        for name, file in names.items()
        if not DEFERRED_IMPORTS.fullmatch(place(file))
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_no_file_grows_too_long() -> None:
    lines = {place(file): len(file.read_text("utf-8").splitlines()) for file in sources()}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_tests_have_no_init_and_unique_names() -> None:
    files = list((ROOT / "tests").rglob("*.py"))
    assert [place(file) for file in files if file.name == "__init__.py"] == []
    names = [file.name for file in files if file.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def tracked() -> list[str]:
    """What belongs to the repository: files git knows or would take up, ignored ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def test_top_level_is_what_the_design_allows() -> None:
    folders = {name.split("/")[0] for name in tracked() if "/" in name}
    files = {name for name in tracked() if "/" not in name}
    assert {name for name in folders if not name.startswith(".")} <= TOP_FOLDERS
    assert {name for name in files if not name.startswith(".")} == TOP_FILES


@pytest.mark.parametrize("page", sorted(p for p in ROOT.rglob("*.md") if ".venv" not in p.parts))
def test_links_in_markdown_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{place(page)} links to {target}"


LOADED = """
import sys
import tomllib
from search.cli import main
sys.argv = ["seqtune", *{arguments!r}]
try:
    main()
finally:
    print("LOADED", sorted({{"torch", "ray", "optuna"}} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["leaderboard", "--help"], ["leaderboard", "no-such-folder"]]
)
def test_reading_loads_neither_torch_nor_ray(arguments: list[str], tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "LOADED []" in ran.stdout, ran.stdout + ran.stderr
