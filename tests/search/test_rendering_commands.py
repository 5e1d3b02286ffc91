"""`seqtune cluster render`: from a study file to a file that is ready to be used."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from search.cli import main

STUDY = """
name = "mine"
benchmark = "digits_rows"
families = ["lstm", "families/own.py:Own"]
[budget]
trials_per_family = 2
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "families").mkdir()
    (tmp_path / "families/own.py").write_text("OWN = 1\n")
    Path("study.toml").write_text(STUDY)
    return Path("study.toml")


def render(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["cluster", "render", *arguments])
    return int(left.value.code or 0)


def test_a_batch_script_is_written_ready_to_be_submitted(study: Path, tmp_path: Path) -> None:
    assert render("slurm", str(study), "--nodes", "3", "--time", "1:00:00", "-o", "job.sh") == 0
    text = Path("job.sh").read_text()
    assert "#SBATCH --nodes=3\n" in text
    assert "#SBATCH --time=1:00:00\n" in text
    assert f"\nfolder={tmp_path}\nstudy=study.toml\n" in text
    assert os.access("job.sh", os.X_OK)
    subprocess.run(["bash", "-n", "job.sh"], check=True)


def test_the_script_for_machines_over_ssh(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render("ssh", str(study), "--host", "a@one", "--host", "two", "--folder", "/there") == 0
    said = capsys.readouterr().out
    assert "machines=(a@one two)" in said
    assert "folder=/there" in said
    assert "--address one:6379" in said


def test_the_manifest_brings_the_users_own_families(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render("kubernetes", str(study), "--image", "i:1", "--claim", "c", "--gpus", "1") == 0
    described, job = yaml.safe_load_all(capsys.readouterr().out)
    assert {"OWN = 1\n", STUDY} <= set(described["data"].values())
    workers = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    assert workers["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_data_of_ones_own_must_be_where_the_pods_find_them(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write_text(STUDY.replace('benchmark = "digits_rows"\n', "") + '[data]\ndata = "a.csv"\n')
    assert render("kubernetes", str(study), "--image", "i:1", "--claim", "c") == 2
    assert "`data.data` must say where the pods find the file" in capsys.readouterr().err


def test_what_slurm_would_misread_is_one_sentence(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render("slurm", str(study), "--partition", "a b") == 2
    assert capsys.readouterr().err.startswith("seqtune: `partition` must be letters")
