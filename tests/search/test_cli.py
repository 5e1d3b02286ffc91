"""The command line: output, exit codes; bad input is one message and leaves no files."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from search.cli import main
from search.results.tables import Block, to_terminal
from search.runner.interruption import Interrupted
from search.store.environment import installed_version
from search.store.lock import WriterLock
from search.store.store import LOCK, Store
from search.study import Study
from search.terminal.example import SHADES
from trainers.benchmarks import BENCHMARKS

LIST = ("benchmarks", "list")
STUDY = """
name = "music"
families = ["gru", "tcn"]
benchmark = { name = "adding", train_examples = 9, valid_examples = 9, test_examples = 9 }
[budget]
trials_per_family = 2
"""
OPENED = {
    "event": "opened",
    "families": ["gru", "tcn"],
    "metric": "mse",
    "maximize": False,
    "budget": {},
    "time": 0.0,
}


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def seqtune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """`seqtune(*words)` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Ran:
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return Ran(int(left.value.code or 0), told.out, told.err)

    return run


def names(folder: str = ".") -> list[str]:
    return sorted(file.name for file in Path(folder).iterdir())


def study_file(text: str) -> Path:
    file = Path("study.toml")
    file.write_text(text, "utf-8")
    return file


@pytest.fixture
def ended_study(seqtune: Run) -> Path:
    """A study with a finished trial and an interrupted one."""
    study = Study.load(study_file(STUDY))
    folder = Path("results", "music")
    with Store.create(folder, study) as store:
        store.append(OPENED)
        for number, family in enumerate(("gru", "tcn")):
            store.append(proposed(number, family))
            store.append(lease(number))
            store.append(report(number, 0.25 - number / 10))
        store.append(ended(0, "complete"))
        store.append({"event": "closed"})
    return folder


def proposed(number: int, family: str) -> dict[str, object]:
    config = {"model": {"name": family}, "head": {}, "training": {}}
    return {
        **place("proposed", number, epoch=0),
        "family": family,
        "proposal": 0,
        "config": config,
        "seed": 0,
        "finalist_of": None,
    }


def lease(number: int) -> dict[str, object]:
    more = {"lease": number, "to_epoch": 1, "test": False}
    return {**place("leased", number, epoch=0), **more}


def report(number: int, value: float) -> dict[str, object]:
    more = {"value": value, "valid": {"mse": value}, "train_loss": 1.0, "seconds": 2.5}
    return {**place("reported", number), **more, "parameters": 1000}


def ended(number: int, state: str) -> dict[str, object]:
    return {**place("ended", number), "state": state, "cause": "", "traceback": ""}


def place(event: str, number: int, epoch: int = 1) -> dict[str, object]:
    return {"event": event, "trial": number, "attempt": 1, "epoch": epoch}


def test_help_and_version(seqtune: Run) -> None:
    told = seqtune("--help")
    assert told.code == 0
    commands = "run validate resume status leaderboard export train benchmarks spaces check"
    for command in commands.split():
        assert f"\n  {command} " in told.out
        assert seqtune(command, "--help").code == 0
    assert seqtune("--version").out == f"seqtune {installed_version('seqtune')}\n"


BAD_STUDIES = {
    "unknown_key": (STUDY + "second = 1", "`budget.second` is not a known key; did you mean"),
    "misspelt_key": ("seeed = 1" + STUDY, "`seeed` is not a known key; did you mean 'seed'?"),
    "unknown_family": (STUDY.replace('"gru"', '"gruu"'), "no family 'gruu'; did you mean 'gru'?"),
    "unknown_benchmark": (
        STUDY.replace("adding", "addding"),
        "no benchmark 'addding'; did you mean 'adding'?",
    ),
    "unknown_option": (
        STUDY.replace("{ name", "{ lenght = 9, name"),
        "no option 'lenght'; did you mean 'length'?",
    ),
    "unknown_sampler": (STUDY + '[search]\nsampler = "tpee"', "'tpee'"),
    "unknown_scheduler": (STUDY + '[search]\nscheduler = "ashaa"', "'ashaa'"),
    "unknown_setting": (STUDY + "[space.gru]\nhiden_size = 3", "did you mean 'hidden_size'?"),
    "space_of_nobody": (STUDY + "[space.lstm]\ndropout = 0.1", "`space.lstm` must name a family"),
    "low_above_high": (
        STUDY + "[space.gru]\nhidden_size = { low = 64, high = 32 }",
        "`low <= high` must hold, got low=64 and high=32",
    ),
    "outside_its_domain": (STUDY + "[space.gru]\ndropout = 1.5", "must be in 0 .. 0.5, got 1.5"),
    "bidirectional": (
        STUDY.replace("adding", "copy_memory") + "[space.gru]\nbidirectional = true",
        "the task is causal",
    ),
    "no_budget": (STUDY.replace("trials_per_family = 2", ""), "must set at least one of"),
    "zero_budget": (STUDY.replace("= 2", "= 0"), "`budget.trials_per_family` must be at least 1"),
    "no_toml": ("name = ", "must be a TOML file"),
    "no_such_class": (STUDY.replace('"gru"', '"mine.py:Mine"'), "mine.py"),
}


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("case", BAD_STUDIES)
def test_a_bad_study_is_one_message_and_writes_nothing(
    seqtune: Run, command: str, case: str
) -> None:
    text, message = BAD_STUDIES[case]
    told = seqtune(command, study_file(text))
    assert told.code == 2
    assert told.out == ""
    assert message in told.err
    assert told.err.startswith("seqtune: ")
    assert "Traceback" not in told.err
    assert names() == ["study.toml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "needs a study file, --benchmark NAME"),
        (["run", "--benchmark", "adding", "study.toml"], "one of them"),
        (["run", "nothing.toml"], "there is no study file nothing.toml"),
        (["run", "--benchmark", "addding"], "did you mean 'adding'?"),
        (["run", "--benchmark", "adding", "--families", "gru,lstmm"], "did you mean 'lstm'?"),
        (["run", "--benchmark", "adding", "--epochs", "0"], "`budget.epochs` must be at least 1"),
        (["run", "--benchmark", "adding", "--seconds", "0"], "`budget.seconds` must be greater"),
        (["run", "--benchmark", "adding", "--set", "epochs"], "must be of the form key=value"),
        (["run", "--benchmark", "adding", "--epochs", "many"], "--epochs"),
        (["run", "--benchmark", "adding", "--tirals", "3"], "No such option"),
        (["validate"], "Missing argument"),
        (["resume", "nowhere"], "nowhere holds no study"),
        (["status", "nowhere"], "nowhere holds no study"),
        (["leaderboard"], "results holds no study"),
        (["leaderboard", "--by", "luck"], "--by"),
        (["export", "nowhere"], "nowhere holds no study"),
        (["train", "nothing.toml"], "nothing.toml"),
        (["spaces", "lstmm"], "did you mean 'lstm'?"),
        (["benchmarks", "show", "addding"], "did you mean 'adding'?"),
        (["check", "mine.py:Mine"], "mine.py"),
        (["lead"], "No such command"),
    ],
)
def test_wrong_usage_is_one_message(seqtune: Run, words: list[str], message: str) -> None:
    told = seqtune(*words)
    assert told.code == 2
    assert told.out == ""
    assert message in told.err
    assert "Traceback" not in told.err
    assert names() == []


def test_debug_anywhere_shows_the_traceback(seqtune: Run) -> None:
    with pytest.raises(FileNotFoundError):
        main(["run", "nothing.toml", "--debug"])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Interrupted(signal.SIGTERM), 143, "interrupted by SIGTERM"),
        (Interrupted(signal.SIGINT), 130, "interrupted by SIGINT"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("Ray Tune gave up"), 1, "Ray Tune gave up"),
        (ConnectionError("no Ray"), 2, "no Ray"),
        (PermissionError(13, "Permission denied", "x.toml"), 2, "x.toml: Permission denied"),
    ],
)
def test_what_ends_a_command_is_told_by_its_exit_code(
    seqtune: Run,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def end(*_: object) -> None:
        raise error

    monkeypatch.setattr("search.terminal.request.requested_study", end)
    told = seqtune("run", "study.toml")
    assert (told.code, told.out, told.err) == (code, "", f"seqtune: {message}\n")


def test_a_folder_of_results_is_never_overwritten(seqtune: Run, ended_study: Path) -> None:
    before = (ended_study / "events.jsonl").read_bytes()
    told = seqtune("run", "study.toml")
    assert told.code == 2
    assert "exists already: continue it with `seqtune resume" in told.err
    assert (ended_study / "events.jsonl").read_bytes() == before
    assert names("results") == ["music"]


def test_results_that_cannot_be_written(seqtune: Run) -> None:
    study_file(STUDY)
    Path("file").write_text("in the way", "utf-8")
    told = seqtune("run", "study.toml", "--out", "file")
    assert told.code == 2
    assert "cannot write" in told.err
    assert names() == ["file", "study.toml"]


@pytest.mark.parametrize("command", ["resume", "status", "leaderboard", "export"])
def test_a_corrupt_line_is_named(seqtune: Run, ended_study: Path, command: str) -> None:
    log = ended_study / "events.jsonl"
    lines = log.read_bytes().split(b"\n")
    lines[3] = lines[3][:20]
    log.write_bytes(b"\n".join(lines))
    told = seqtune(command, ended_study)
    assert told.code == 2
    assert "is corrupt: line 4" in told.err
    assert told.out == ""


def test_readers_skip_a_torn_last_line(seqtune: Run, ended_study: Path) -> None:
    whole = seqtune("leaderboard", "--format", "json").out
    with (ended_study / "events.jsonl").open("ab") as log:
        log.write(b'{"event":"proposed","tri')
    assert seqtune("leaderboard", "--format", "json").out == whole


def test_a_second_driver_is_refused(seqtune: Run, ended_study: Path) -> None:
    lock = WriterLock.acquire(ended_study / LOCK)
    try:
        told = seqtune("resume", ended_study)
    finally:
        lock.release()
    assert told.code == 2
    assert f"is being run by pid {os.getpid()}" in told.err


def test_a_changed_study_that_is_wrong_leaves_the_old_one(seqtune: Run, ended_study: Path) -> None:
    before = (ended_study / "study.toml").read_bytes()
    told = seqtune("resume", ended_study, "--add-family", "lstmm")
    assert told.code == 2
    assert "did you mean 'lstm'?" in told.err
    told = seqtune("resume", ended_study, "--trials-per-family", "0")
    assert told.code == 2
    assert (ended_study / "study.toml").read_bytes() == before


def test_status_is_told_from_the_log(seqtune: Run, ended_study: Path) -> None:
    told = seqtune("status")
    assert told.code == 0
    assert f"{ended_study}: interrupted" in told.out
    assert f"seqtune resume {ended_study}" in told.out
    rows = {line.split()[0]: line.split() for line in told.out.splitlines() if line.strip()}
    assert rows["gru"][:8] == ["gru", "0.25", "2.5", "s", "0", "1", "0", "0"]
    assert rows["tcn"][1] == "0.15"
    lock = WriterLock.acquire(ended_study / LOCK)
    try:
        assert f"(process {os.getpid()})" in seqtune("status", ended_study).out
    finally:
        lock.release()


def test_leaderboard_in_every_format(seqtune: Run, ended_study: Path) -> None:
    rows = json.loads(seqtune("leaderboard", ended_study, "--format", "json").out)
    assert [(row["family"], row["valid_best"]) for row in rows] == [("tcn", 0.15), ("gru", 0.25)]
    by_trial = json.loads(seqtune("leaderboard", "--by", "trial", "--format", "json").out)
    assert {row["trial"]: row["state"] for row in by_trial} == {0: "complete", 1: "interrupted"}
    assert seqtune("leaderboard", "--format", "csv").out.startswith("study,benchmark,rank,family")
    assert "tcn" in seqtune("leaderboard").out
    assert seqtune("leaderboard", "--format", "parquet", "-o", "board.parquet").code == 0
    assert Path("board.parquet").read_bytes()[:4] == b"PAR1"
    told = seqtune("leaderboard", "--format", "parquet")
    assert told.code == 2
    assert "must go to a file" in told.err


def test_only_complete_trials_are_exported(seqtune: Run, ended_study: Path) -> None:
    for words, message in (
        (["--family", "tcn"], "'tcn' must have a complete trial to export, got none"),
        (["--family", "gruu"], "has no family 'gruu'; did you mean 'gru'?"),
        (["--trial", "1"], "trial 1 must be complete to be exported, it is interrupted"),
        (["--trial", "7"], "has no trial 7"),
        (["--trial", "0", "--family", "gru"], "got both"),
    ):
        told = seqtune("export", ended_study, *words)
        assert told.code == 2
        assert message in told.err
        assert not (ended_study / "best").exists()


def test_a_study_file_is_validated(seqtune: Run) -> None:
    told = seqtune("validate", study_file(STUDY), "--set", "families=['gru']")
    assert told.code == 0
    assert "is right: gru on adding (9 examples to train on), judged by mse" in told.out
    assert names() == ["study.toml"]


def test_what_there_is_to_choose_from(seqtune: Run) -> None:
    families = json.loads(seqtune("spaces", "--format", "json").out)
    assert [row["family"] for row in families][:5] == ["rnn", "lstm", "gru", "tcn", "transformer"]
    both = json.loads(seqtune("spaces", "gru", "--format", "json").out)
    causal = json.loads(seqtune("spaces", "gru", "--causal", "--format", "json").out)
    settings = {row["setting"]: row for row in both}
    assert settings["training/optimizer/momentum (sgd)"]["default"] == 0.9
    missing = set(settings) - {row["setting"] for row in causal}
    assert missing == {"model/bidirectional"}
    assert seqtune("benchmarks").out == seqtune("benchmarks", "list").out
    shown = json.loads(seqtune("benchmarks", "show", "adding", "--format", "json").out)
    assert shown["metric"] == "mse"
    assert shown["options"]["length"] > 0
    assert "no files to fetch" in seqtune("benchmarks", "fetch", "adding").out


def test_the_list_of_benchmarks_says_all_of_them(seqtune: Run) -> None:
    rows = {row["benchmark"]: row for row in json.loads(seqtune(*LIST, "--format", "json").out)}
    assert set(rows) == set(BENCHMARKS)
    assert all(row["size"] and row["licence"] and row["published"] for row in rows.values())
    assert rows["ett_h1"]["size"] == "8,449 / 2,785 / 2,785 windows"
    assert rows["adding"]["present"] is True
    lines = seqtune(*LIST).out.splitlines()
    (row,) = [line for line in lines if line.split()[:1] == ["jsb_chorales"]]
    assert "229 / 76 / 77" in row
    assert "8.10 nats per frame" in row
    assert len(row) < 200


def test_a_narrow_terminal_leaves_out_the_long_words() -> None:
    block = Block("t", ["name", "words"], frozenset({"name", "words"}), [["a", "b " * 40]])
    assert "b b" in to_terminal([block], width=30)
    narrow = to_terminal([replace(block, spare=frozenset({"words"}))], width=30)
    assert "b b" not in narrow
    assert "In a wider terminal: words." in narrow


def test_an_example_is_drawn_and_plotted(seqtune: Run, tmp_path: Path) -> None:
    shown = seqtune("benchmarks", "show", "digits_rows", "--plot", "digit.svg").out
    drawing = shown[shown.index("inputs: 8 steps of 8 features") :].splitlines()
    assert set("".join(drawing[1:9])) == set(SHADES)
    assert drawing[-1] in "0123456789"
    assert "<svg" in (tmp_path / "digit.svg").read_text("utf-8")
    assert "▁" in seqtune("benchmarks", "show", "mackey_glass", "--plot", "series.html").out
    page = (tmp_path / "series.html").read_text("utf-8")
    assert "Plotly.newPlot" in page
    assert "mackey_glass, an example" in page
    refused = seqtune("benchmarks", "show", "adding", "--plot", "adding.gif")
    assert refused.code == 2
    assert "must be a file that ends in .html or .svg, got adding.gif" in refused.err


def test_an_example_of_files_that_are_not_here_waits_for_them(
    seqtune: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQTUNE_DATA", str(tmp_path / "nowhere"))
    shown = seqtune("benchmarks", "show", "jsb_chorales")
    assert shown.out.endswith("For an example: seqtune benchmarks fetch jsb_chorales\n")


CONFIG = """
benchmark = "digits_rows"
epochs = 2
threads = 1
model = { name = "gru", hidden_size = 16 }
"""

DIVERGING = """
from torch import Tensor
from trainers.models import GRU

class Nan(GRU):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x, mask) * float("nan")
"""


def test_one_configuration_is_trained_here(seqtune: Run) -> None:
    Path("config.toml").write_text(CONFIG, "utf-8")
    told = seqtune("train", "config.toml", "--seed", "5")
    assert told.code == 0
    lines = told.out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 1", "epoch 2"]
    assert lines[-1].startswith("best valid accuracy: 0.")
    assert seqtune("train", "config.toml", "--seed", "5").out.splitlines()[-1] == lines[-1]
    assert seqtune("train", "config.toml", "--epochs", "1", "--quiet").out == ""
    assert seqtune("train", "config.toml", "--epochs", "0").code == 2


def test_a_training_ends_when_patience_does(seqtune: Run) -> None:
    Path("config.toml").write_text(f"patience = 1\n{CONFIG}", "utf-8")
    told = seqtune("train", "config.toml", "--epochs", "50")
    assert told.code == 0
    *epochs, best = told.out.splitlines()
    assert best.endswith(f" in epoch {len(epochs) - 1}")
    assert len(epochs) < 50


def test_a_training_that_diverges_is_told_in_words(seqtune: Run) -> None:
    Path("nan.py").write_text(DIVERGING, "utf-8")
    Path("config.toml").write_text(CONFIG.replace("gru", "nan.py:Nan"), "utf-8")
    told = seqtune("train", "config.toml")
    assert told.code == 2
    assert "must not diverge: the training loss became nan in epoch 1" in told.err


def test_a_family_of_ones_own_is_checked(seqtune: Run) -> None:
    example = Path(__file__).parents[2] / "examples" / "my_model.py"
    told = seqtune("check", f"{example}:MyModel")
    assert told.code == 0
    assert "keeps every promise" in told.out
    Path("mine.py").write_text(
        example.read_text("utf-8").replace("return zero_padding(y, mask)", "return y")
    )
    told = seqtune("check", "mine.py:MyModel")
    assert told.code == 2
    assert "mine.py:MyModel must keep every promise" in told.err
    assert "padding" in told.out
