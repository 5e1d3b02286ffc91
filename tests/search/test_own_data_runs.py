"""Every kind of own data from one command to a leaderboard with the trivial baseline's row."""

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.connect import Session, connect
from search.cli import main
from search.runner import runner
from search.runner.packages import ROOT

pytestmark = pytest.mark.slow

SMALL = (
    "--families gru --trials-per-family 1 --epochs 2 --set confirm.seeds=1 --quiet "
    "--set resources.max_concurrent=1 "
    "--set space.gru.hidden_size=16 --set space.gru.num_layers=1 --set search.sampler=random"
)


def sales(folder: Path) -> None:
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(150)]
    rows = [
        f"{store},{day},{10 * store + math.sin(day.toordinal()):.3f}"
        for store in (1, 2)
        for day in days
    ]
    (folder / "sales.csv").write_text("\n".join(["store,date,y", *rows]) + "\n")


def questions(folder: Path) -> None:
    texts = [f"{'who' if n % 2 else 'where'} is number {n} of them" for n in range(60)]
    labels = ["human" if n % 2 else "place" for n in range(60)]
    pq.write_table(pa.table({"question": texts, "label": labels}), folder / "q.parquet")


def gun_point(folder: Path) -> None:
    cases = [
        ",".join(f"{math.sin(step / (2 + n % 2)):.3f}" for step in range(12)) + f":{1 + n % 2}"
        for n in range(40)
    ]
    head = ["@problemName GunPoint", "@univariate true", "@classLabel true 1 2", "@data"]
    (folder / "GunPoint_TRAIN.ts").write_text("\n".join([*head, *cases]) + "\n")


def steps(folder: Path) -> None:
    rows = [
        f"{n},{step},{step if n % 2 else -step},{'up' if n % 2 else 'down'}"
        for n in range(40)
        for step in range(5)
    ]
    (folder / "steps.csv").write_text("\n".join(["sequence,t,value,label", *rows]) + "\n")


def corpus(folder: Path) -> None:
    (folder / "corpus.txt").write_text("to be or not to be, that is the question\n" * 40)


def treebank(folder: Path) -> None:
    words = [("the", "DET"), ("cat", "NOUN"), ("sees", "VERB"), ("dogs", "NOUN")]
    blank = "\t".join("_" * 6)
    sentence = [f"{n}\t{word}\t{word}\t{tag}\t{blank}" for n, (word, tag) in enumerate(words, 1)]
    sentences = ["\n".join([f"# sent_id = {n}", *sentence[: 2 + n % 3]]) for n in range(40)]
    (folder / "train.conllu").write_text("\n\n".join(sentences) + "\n\n")


def pairs(folder: Path) -> None:
    numbers = {"eins": "one", "zwei": "two", "drei": "three"}
    draw = random.Random(0)
    said = [draw.choices(list(numbers), k=1 + n % 3) for n in range(80)]
    rows = [f"{' '.join(one)}\t{' '.join(numbers[word] for word in one)}" for one in said]
    (folder / "pairs.tsv").write_text("\n".join(["de\ten", *rows]) + "\n")


def machines(folder: Path) -> None:
    rows = [
        f"{step},{math.sin(step / 3) + 9 * (step % 37 == 0):.3f},{int(step % 37 == 0)}"
        for step in range(400)
    ]
    (folder / "machine.csv").write_text("\n".join(["t,temperature,anomaly", *rows]) + "\n")


COMMANDS: list[tuple[Callable[[Path], None], str, str]] = [
    (
        sales,
        "--data sales.csv --task forecasting --time date --id store --target y --horizon 24 "
        "--set confirm.refit=true",
        "mse",
    ),
    (
        questions,
        "--data q.parquet --task classification --text question --target label",
        "accuracy",
    ),
    (gun_point, "--data GunPoint_TRAIN.ts --task classification", "accuracy"),
    (
        steps,
        "--data steps.csv --task classification --id sequence --time t --target label "
        "--set metric=macro_f1",
        "macro_f1",
    ),
    (
        corpus,
        "--data corpus.txt --task language_modelling --level character",
        "bits_per_character",
    ),
    (treebank, "--data train.conllu --task tagging", "log_loss"),
    (pairs, "--data pairs.tsv --task translation", "bleu"),
    (machines, "--data machine.csv --task anomaly_detection --label anomaly", "window_f1"),
]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        with connect(code=ROOT, cpus=2) as session:
            yield session


@pytest.mark.parametrize(
    ("write", "words", "metric"), COMMANDS, ids=[write.__name__ for write, *_ in COMMANDS]
)
def test_one_command_goes_from_files_to_a_leaderboard(
    write: Callable[[Path], None],
    words: str,
    metric: str,
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "connect", lambda *_, **__: nullcontext(session))
    assert run(["run", *words.split(), *SMALL.split()]) == 0
    said = capsys.readouterr().out
    assert "baseline (" in said
    (folder,) = (tmp_path / "results").iterdir()
    assert run(["leaderboard", str(folder), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["family"].partition(" ")[0] for row in rows) == ["baseline", "gru"]
    for row in rows:
        assert row["metric"] == metric
        assert math.isfinite(row["test_mean"])
    assert (folder / "best" / "weights.safetensors").exists()
    assert ("trained again, on train and validation together" in said) == ("refit" in words)


def run(words: list[str]) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code
