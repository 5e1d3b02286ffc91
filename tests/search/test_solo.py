"""`seqtune train` on other files, and the model that it leaves behind."""

import json
from pathlib import Path

import pytest
import torch

from search.cli import main
from trainers.export import load
from trainers.export.recipe import Recipe

CONFIG = """\
seed = 1
epochs = 2
[benchmark]
name = "own_data"
data = ["old.csv"]
task = "classification"
id = "sequence"
time = "t"
target = "label"
[model]
name = "gru"
hidden_size = 16
num_layers = 1
"""


def write_steps(path: Path, *, column: str = "x", sequences: int = 40) -> None:
    rows = [
        f"{sequence},{step},{step if sequence % 2 else -step},{'up' if sequence % 2 else 'down'}"
        for sequence in range(sequences)
        for step in range(5)
    ]
    path.write_text("\n".join([f"sequence,t,{column},label", *rows]), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_steps(tmp_path / "old.csv")
    write_steps(tmp_path / "new.csv", sequences=60)
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def train(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["train", "config.toml", *words])
    return int(left.value.code or 0)


def test_the_winner_is_trained_again_on_new_data(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--seed", "7", "--data", "new.csv", "-o", "again") == 0
    told = capsys.readouterr().out
    assert "60 sequences" in told
    assert told.rstrip().endswith("the model is in again")
    recipe = Recipe.read(folder / "again" / "config.toml")
    assert (recipe.seed, recipe.options["data"]) == (7, [str(folder / "new.csv")])
    metrics = json.loads((folder / "again" / "metrics.json").read_text("utf-8"))
    assert 0 <= metrics["test"]["accuracy"] <= 1
    assert metrics["test_over_seeds"] is None
    model = load(folder / "again")
    assert sum(one.numel() for one in model.parameters()) == metrics["parameters"]
    assert not any(torch.isnan(one).any() for one in model.parameters())
    # what was exported says all that its training needs: the same numbers once more
    assert train("--quiet") == 0
    with pytest.raises(SystemExit):
        main(["train", "again/config.toml", "-o", "third", "--quiet"])
    third = json.loads((folder / "third" / "metrics.json").read_text("utf-8"))
    assert third["test"] == metrics["test"]


def test_a_folder_of_other_files_is_refused_before_anything_is_trained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-o", ".") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "must be empty or an earlier export" in told.err
    assert train("-o", "old.csv") == 2
    assert "must be a folder, got a file" in capsys.readouterr().err


def test_a_benchmark_takes_no_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.toml").write_text('benchmark = "parity"\nmodel = { name = "gru" }\n', "utf-8")
    assert train("--data", "new.csv") == 2
    assert "trains on the benchmark parity; leave --data out" in capsys.readouterr().err
