"""A study that is to have more while it runs, asked for from another terminal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.extension import Extension
from search.runner.attendant import Attendant
from search.runner.interruption import Interrupted, Interruption, Paused
from search.store.log import read_events
from search.store.requests import ExtendRequest, StopRequest, ask, take_requests
from search.store.store import STUDY
from search.study import Study
from search.terminal.notice import noticed

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-P", "-c", "from search.cli import main; main()"]
STUDY_FILE = """
name = "grows"
benchmark = { name = "adding", length = 8, train_examples = 64 }
families = ["rnn"]
[budget]
trials_per_family = 2000
epochs = 2
[search]
sampler = "random"
[confirm]
seeds = 2
[resources]
max_concurrent = 1
[space.rnn]
hidden_size = { low = 16, high = 32 }
num_layers = 1
"""


def test_an_extension_is_the_study_with_changes(tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text(STUDY_FILE, "utf-8")
    options = {"budget.trials_per_family": 3, "budget.seconds": None}
    extension = Extension(options, ("gru",), ("space.rnn.hidden_size.high=64",))
    study = extension.of(tmp_path)
    assert study.families == ("rnn", "gru")
    assert (study.budget.trials_per_family, study.budget.seconds) == (3, None)
    assert study.space["rnn"]["hidden_size"] == {"low": 16, "high": 64}
    assert Extension.from_json(json.loads(json.dumps(extension.to_json()))) == extension
    assert extension
    assert not Extension({"budget.seconds": None})


def test_an_extension_pauses_the_run_and_whoever_stops_it_comes_first(tmp_path: Path) -> None:
    interruption = Interruption()
    attend = Attendant(tmp_path, None, interruption)
    extension = Extension({"budget.trials_per_family": 3})
    ask(tmp_path, ExtendRequest({"strange": 1}))
    ask(tmp_path, ExtendRequest(extension.to_json()))
    attend()
    with pytest.raises(Paused):
        interruption.check()
    assert attend.take_extensions() == [extension]
    assert attend.take_extensions() == []
    interruption.go_on()
    interruption.check()
    interruption.pause()
    interruption.ask("`seqtune stop`")
    interruption.go_on()  # too late
    with pytest.raises(Interrupted, match="by `seqtune stop`") as caught:
        interruption.check()
    assert not isinstance(caught.value, Paused)


def test_a_signal_ends_a_pausing_run_as_patiently_as_any() -> None:
    interruption = Interruption()
    with interruption.patience():
        interruption.pause()
        interruption.handle(signal.SIGINT, None)
        assert interruption.signum == signal.SIGINT
        assert not interruption.pausing
        with pytest.raises(Interrupted, match="SIGINT"):
            interruption.handle(signal.SIGINT, None)


def seqtune(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def until(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The log of the study, once it has an event of this kind."""
    deadline = time.monotonic() + 250
    while time.monotonic() < deadline:
        events = list(read_events(folder))
        if any(event["event"] == kind for event in events):
            return events
        time.sleep(0.2)
    raise AssertionError(f"no {kind} came")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The folder of a study that runs without a terminal."""
    (tmp_path / "my_model.py").write_text((ROOT / "examples" / "my_model.py").read_text("utf-8"))
    (tmp_path / "study.toml").write_text(STUDY_FILE, "utf-8")
    notice = 'echo "$SEQTUNE_EXIT_CODE" > notice.txt'
    told = seqtune(tmp_path, "run", "study.toml", "--detach", "--on-finish", notice)
    assert told.returncode == 0, told.stderr
    yield tmp_path / "results" / "grows"
    seqtune(tmp_path, "stop", "results")


def assert_refused(folder: Path, said: str, *words: str) -> None:
    told = seqtune(folder.parent.parent, "resume", "results", *words)
    assert told.returncode == 2
    assert said in told.stderr


@pytest.mark.slow
def test_a_running_study_takes_up_what_another_terminal_asks_for(running: Path) -> None:
    until(running, "ended")
    assert_refused(running, "there is no family 'nothing'", "--add-family", "nothing")
    too_much = "goes on as before: `resources.cpus_per_trial` must be at most"
    assert_refused(running, too_much, "--set", "resources.cpus_per_trial=1000")
    words = "--trials-per-family 3 --add-family my_model.py:MyModel"
    wider = "space.rnn.hidden_size={ low = 16, high = 64 }"
    home = running.parent.parent
    told = seqtune(home, "resume", "results", *words.split(), "--set", wider)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("results/grows goes on with the changes")
    deadline = time.monotonic() + 200
    while not (home / "notice.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    log = (running / "run.log").read_text("utf-8")
    assert (home / "notice.txt").read_text() == "0\n", log
    assert Study.load(running / STUDY).budget.trials_per_family == 3
    assert "MyModel" in (running / "sources.json").read_text("utf-8")
    check_extended(list(read_events(running)))


def check_extended(events: list[dict[str, Any]]) -> None:
    """One extension was refused, one taken up, and no work was lost or done twice."""
    answers = [event["refused"] for event in events if event["event"] == "extension"]
    assert [refused is None for refused in answers] == [False, True]
    assert sum(event["event"] == "opened" for event in events) == 3
    proposed = [event for event in events if event["event"] == "proposed"]
    begun = Counter(each["family"] for each in proposed if each["finalist_of"] is None)
    assert begun["my_model.py:MyModel"] == 3  # the newcomer's share, however many others have
    reports = [event for event in events if event["event"] == "reported"]
    trained = [(report["trial"], report["epoch"]) for report in reports]
    assert len(trained) == len(set(trained))
    assert not [event for event in events if event.get("lost")]
    finalists = Counter(each["family"] for each in proposed if each["finalist_of"] is not None)
    assert finalists == {"rnn": 2, "my_model.py:MyModel": 2}


def test_the_command_at_the_end_hears_of_any_end_and_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a'b \"$(touch ran)`touch ran`\nc"
    command = 'printf "%s|%s" "$SEQTUNE_STUDY" "$SEQTUNE_EXIT_CODE" > told; exit 3'
    with pytest.raises(Interrupted), noticed(command, folder):
        raise Interrupted(signal.SIGTERM)
    assert (tmp_path / "told").read_text("utf-8") == f"{folder}|143"
    assert not (tmp_path / "ran").exists()
    told = capfd.readouterr().err
    assert told == "seqtune: the command of --on-finish ended with exit code 3\n"
    with noticed("true", folder):
        pass
    assert capfd.readouterr().err == ""


def test_requests_of_both_kinds_are_read_back(tmp_path: Path) -> None:
    asked = [StopRequest(), ExtendRequest(Extension(families=("gru",)).to_json())]
    for request in asked:
        ask(tmp_path, request)
    stop, extend = take_requests(tmp_path)
    assert stop == asked[0]
    assert Extension.from_json(extend.extension).families == ("gru",)
