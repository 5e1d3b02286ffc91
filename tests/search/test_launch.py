"""Whole studies on real Ray, as a person runs them: from one command to the model in hand."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trainers.export import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# as the installed program starts: the current folder is not on the path
PROGRAM = [sys.executable, "-P", "-c", "from search.cli import main; main()"]
BROKEN = """
from torch import Tensor
from trainers.models import GRU

class Broken(GRU):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        raise ValueError("this model is broken")
"""


def seqtune(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modules of the same names as ours, and with a model of one's own."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("search", "trainers", "cluster"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('not ours')", "utf-8")
    (folder / "spaces.py").write_text("raise RuntimeError('not ours')", "utf-8")
    (folder / "my_model.py").write_text((ROOT / "examples" / "my_model.py").read_text("utf-8"))
    (folder / "broken.py").write_text(BROKEN, "utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(home: Path) -> subprocess.CompletedProcess[str]:
    words = "run --benchmark digits_rows --families rnn,my_model.py:MyModel --name digits"
    limits = "--trials-per-family 2 --epochs 3 --set confirm.seeds=2"
    return seqtune(home, *words.split(), *limits.split())


def test_one_command_ends_in_a_leaderboard_and_a_model(
    home: Path, ran: subprocess.CompletedProcess[str]
) -> None:
    assert ran.returncode == 0, ran.stderr
    assert "digits on digits_rows: accuracy, higher is better" in ran.stdout
    assert f"is in {Path('results', 'digits', 'best')}" in ran.stdout
    told = seqtune(home, "leaderboard", "--format", "json")
    families = [row for row in json.loads(told.stdout) if row["rank"]]
    assert {row["family"] for row in families} == {"rnn", "my_model.py:MyModel"}
    for row in families:
        assert (row["trials"], row["complete"] + row["pruned"]) == (2, 2)
        assert row["test_low"] <= row["test_mean"] <= row["test_high"]
        assert row["test_mean"] > 0.5
        assert row["beats_baseline"]
    assert "finished" in seqtune(home, "status").stdout
    following = home / "results" / "digits" / "next.toml"
    assert f"seqtune run {following.relative_to(home)}" in ran.stdout
    assert seqtune(home, "validate", str(following)).returncode == 0
    settings = json.loads(seqtune(home, "leaderboard", "--by", "pair", "--format", "json").stdout)
    assert {row["examples"] for row in settings} == {359}


@pytest.mark.parametrize("family", ["rnn", "my_model.py:MyModel"])
def test_what_was_exported_trains_to_the_same_value_again(
    home: Path, ran: subprocess.CompletedProcess[str], family: str
) -> None:
    assert ran.returncode == 0, ran.stderr
    onnx = ["--onnx"] if family == "rnn" else []
    told = seqtune(home, "export", "results", "--family", family, "-o", "model", *onnx)
    assert told.returncode == 0, told.stderr
    metrics = json.loads((home / "model" / "metrics.json").read_text("utf-8"))
    assert metrics["test_over_seeds"]["seeds"] == 2
    assert (home / "model" / "model.onnx").exists() == bool(onnx)
    trust = ["--trust"] if family.endswith("MyModel") else []
    if trust:
        assert "must be trusted" in seqtune(home, "train", "model/config.toml").stderr
    told = seqtune(home, "train", "model/config.toml", *trust)
    assert told.returncode == 0, told.stderr
    best = f"best valid accuracy: {metrics['valid']!r} in epoch {metrics['valid_epoch']}"
    assert told.stdout.splitlines()[-1] == best
    model = load(home / "model", trust=bool(trust))
    outputs = model(torch.zeros(2, 8, 8), torch.ones(2, 8, dtype=torch.bool))
    assert outputs.shape == (2, 10)


def test_a_finished_study_takes_more_budget(
    home: Path, ran: subprocess.CompletedProcess[str]
) -> None:
    assert ran.returncode == 0, ran.stderr
    told = seqtune(home, "resume", "results", "--trials-per-family", "3", "--quiet")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("digits on digits_rows")
    rows = json.loads(seqtune(home, "leaderboard", "results", "--format", "json").stdout)
    assert {row["trials"] for row in rows if row["rank"]} == {3}


def test_a_study_goes_on_without_its_terminal_until_it_is_stopped(home: Path) -> None:
    words = "run --benchmark digits_rows --families rnn --trials-per-family 500 --name apart"
    notice = 'echo "$SEQTUNE_STUDY $SEQTUNE_EXIT_CODE" > notice.txt'
    told = seqtune(home, *words.split(), "--detach", "--on-finish", notice)
    assert told.returncode == 0, told.stderr
    assert "follow it: seqtune watch results/apart" in told.stdout
    running = seqtune(home, "status", "results/apart").stdout
    assert "runs on" in running
    assert seqtune(home, "resume", "results/apart").returncode == 2  # it has a driver
    told = seqtune(home, "stop", "results/apart")
    assert told.returncode == 0, told.stderr
    assert "everything is saved" in told.stdout
    assert (home / "notice.txt").read_text("utf-8") == "results/apart 143\n"
    log = (home / "results" / "apart" / "run.log").read_text("utf-8")
    assert log.endswith("seqtune: interrupted by `seqtune stop`\n")
    assert seqtune(home, "stop", "results/apart").returncode == 2  # once is enough
    shutil.rmtree(home / "results" / "apart")


def test_a_run_that_cannot_begin_says_so_before_it_leaves(home: Path) -> None:
    told = seqtune(home, *["run", "--benchmark", "nothing", "--name", "never", "--detach"])
    assert told.returncode == 2
    assert told.stderr.startswith("seqtune: there is no benchmark 'nothing'")
    assert not [file for file in (home / "results").iterdir() if "never" in file.name]


def test_a_study_too_large_for_the_machine_leaves_nothing(home: Path) -> None:
    words = "run --benchmark digits_rows --name huge --set resources.cpus_per_trial=1000"
    told = seqtune(home, *words.split())
    assert told.returncode == 2
    assert told.stderr.startswith("seqtune: `resources.cpus_per_trial` must be at most the ")
    assert not (home / "results" / "huge").exists()


def test_a_study_in_which_everything_fails_says_why(home: Path) -> None:
    words = "run --benchmark digits_rows --families broken.py:Broken --trials-per-family 2"
    told = seqtune(home, *words.split(), "--name", "failing")
    assert told.returncode == 1, told.stderr
    assert "no trial of results/failing completed: most often" in told.stderr
    assert "ValueError: this model is broken" in told.stderr
    assert not (home / "results" / "failing" / "best").exists()
    told = seqtune(home, "export", "results/failing")
    assert told.returncode == 2
    assert "must have a complete trial to export, got none" in told.stderr
