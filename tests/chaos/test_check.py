"""The check of a study that went through faults finds what a fault could do to a log."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.check import Budget, problems_of

BUDGET = Budget(trials=2, finalists=1, epochs=3)
Log = list[dict[str, Any]]


def reported(trial: int, epoch: int, attempt: int = 1, saved: int | None = None) -> dict[str, Any]:
    place = {"event": "reported", "trial": trial, "attempt": attempt, "epoch": epoch}
    return place | {"saved": epoch if saved is None else saved}


def trial_of(number: int, *, finalist_of: int | None = None, state: str = "complete") -> Log:
    place = {"trial": number, "attempt": 1, "epoch": 3}
    proposed = {"event": "proposed", **place, "attempt": 0, "epoch": 0, "finalist_of": finalist_of}
    tested = [] if finalist_of is None else [{"event": "tested", **place}]
    ended = {"event": "ended", **place, "state": state, "cause": ""}
    return [proposed, *(reported(number, epoch) for epoch in (1, 2, 3)), *tested, ended]


@pytest.fixture
def log() -> Log:
    header = [{"event": "study", "format": 1}]
    trials = [*trial_of(0), *trial_of(1), *trial_of(2, finalist_of=0)]
    return [*header, *trials, {"event": "closed"}]


def problems(folder: Path, log: Log, causes: dict[int, str] | None = None) -> list[str]:
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log))
    return problems_of(folder, BUDGET, causes)


def test_a_study_without_faults_is_right(tmp_path: Path, log: Log) -> None:
    assert problems(tmp_path, log) == []


def test_an_attempt_may_go_on_from_the_last_checkpoint(tmp_path: Path, log: Log) -> None:
    log[3:5] = [reported(0, 2, saved=1), reported(0, 2, attempt=2), reported(0, 3, attempt=2)]
    assert problems(tmp_path, log) == []


def again(log: Log) -> None:
    log.insert(3, log[2])


def from_scratch(log: Log) -> None:
    log[4:5] = [reported(0, epoch, attempt=2) for epoch in (1, 2, 3)]


def with_a_gap(log: Log) -> None:
    del log[3]


def without_end(log: Log) -> None:
    log.remove(next(event for event in log if event["event"] == "ended"))


def tested_never(log: Log) -> None:
    log.remove(next(event for event in log if event["event"] == "tested"))


def one_trial_less(log: Log) -> None:
    log[:] = [event for event in log if event.get("trial") != 1]


def never_closed(log: Log) -> None:
    log.pop()


def failed_of_itself(log: Log) -> None:
    end = next(event for event in log if event["event"] == "ended")
    end |= {"state": "failed", "cause": "worker died"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (again, "1 lines of the log tell an event a second time"),
        (from_scratch, "trial 0 goes on with epoch 1 in attempt 2; told were 2 epochs, and saved"),
        (with_a_gap, "trial 0 told of epochs [1, 3]"),
        (without_end, "trial 0 ended 0 times"),
        (tested_never, "trial 2 was tested 0 times"),
        (one_trial_less, "the search has 1 trials, and its budget is 2"),
        (never_closed, "the log ends with 'ended'"),
        (failed_of_itself, "trial 0 failed of 'worker died', and not of None"),
    ],
)
def test_what_a_fault_could_do_is_found(
    tmp_path: Path, log: Log, spoil: Callable[[Log], None], words: str
) -> None:
    spoil(log)
    found = problems(tmp_path, log)
    assert any(line.startswith(words) for line in found), found


def test_a_trial_that_was_made_to_fail_must_say_so(tmp_path: Path, log: Log) -> None:
    words = "trial 0 is complete, and was made to fail with 'MemoryError'"
    assert problems(tmp_path, log, {0: "MemoryError"}) == [words]
    end = next(event for event in log if event["event"] == "ended")
    end |= {"state": "failed", "cause": "MemoryError: too much"}
    assert problems(tmp_path, log, {0: "MemoryError"}) == []
