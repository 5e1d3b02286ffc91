"""A wheel built from the checkout holds the four packages and nothing else, and runs elsewhere."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"search", "spaces", "trainers", "cluster"}

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("packaging")
    checkout = folder / "checkout"
    made = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")

    def left_out(place: str, names: list[str]) -> set[str]:
        return made(place, names) | ({"results"} if Path(place) == ROOT else set())

    shutil.copytree(ROOT, checkout, ignore=left_out)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run(*command, "--wheel-dir", folder, checkout, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    ours = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert {name for name in names if ".dist-info/" not in name} == ours
    assert {f"{package}/py.typed" for package in PACKAGES} <= ours
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # the dependencies of this environment, without what its own .pth files add (this checkout)
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = run(python, "-c", purelib, cwd=tmp_path)
    Path(packages.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    home = run(python, "-c", "import search; print(search.__file__)", cwd=empty)
    assert Path(home.strip()).is_relative_to(environment)
    command = environment / "bin" / "seqtune"
    assert "leaderboard" in run(command, "--help", cwd=empty)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert version in run(command, "--version", cwd=empty)
    assert "digits_rows" in run(command, "benchmarks", "list", cwd=empty)
    assert list(empty.iterdir()) == []
