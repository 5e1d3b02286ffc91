"""Watching a study from another terminal, while it runs and when it does not."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search.store.store import Store
from search.study import Study
from search.terminal.watch import Tail, follow

STUDY = Study.from_mapping(
    {
        "name": "song",
        "benchmark": "adding",
        "families": ["gru"],
        "budget": {"trials_per_family": 2, "epochs": 3},
        "confirm": {"seeds": 2},
    }
)
OPENED = {"event": "opened", "families": ["gru"], "metric": "mse", "maximize": False}


def trial_events(number: int) -> Iterator[dict[str, Any]]:
    place = {"trial": number, "attempt": 1, "epoch": 0}
    config = {"model": {"name": "gru"}}
    given = {"family": "gru", "config": config, "seed": 0, "finalist_of": None}
    yield {"event": "proposed", **place, **given}
    yield {"event": "leased", **place}
    told = {"value": 0.5 - number / 10, "seconds": 10.0, "parameters": 7}
    yield {"event": "reported", **place, "epoch": 1, **told}
    yield {"event": "ended", **place, "epoch": 1, "state": "complete", "cause": ""}


class Writer:
    """Writes the next events whenever the watcher waits, and then ends."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.create(folder, STUDY)
        self.left = [*trial_events(1)]
        self.waited = 0

    def begin(self, *, time: float) -> None:
        self.store.append({**OPENED, "time": time})
        self.store.append({"event": "packed", "reason": "4 trials at a time on each H200"})
        for event in trial_events(0):
            self.store.append(event)

    def wait(self, _seconds: float) -> None:
        self.waited += 1
        if self.left:
            self.store.append(self.left.pop(0))
        else:
            self.store.append({"event": "closed"})
            self.store.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    begun = Writer(tmp_path / "song")
    yield begun
    begun.store.close()


def test_a_pipe_gets_lines_and_at_the_end_how_it_stands(writer: Writer, tmp_path: Path) -> None:
    writer.begin(time=1e9)  # long ago, so that a line is due at once
    told = io.StringIO()
    follow(tmp_path / "song", Console(file=told, width=120), wait=writer.wait)
    lines = told.getvalue().splitlines()
    assert "trial 2 of 2: 1 complete; best mse 0.5 (gru)" in lines[0]
    assert lines[1].endswith("song: finished")
    (row,) = [line for line in lines if line.strip().startswith("gru")]
    assert "0.4" in row
    assert " GPUs: 4 trials at a time on each H200." in lines
    assert writer.waited == 5


def test_a_terminal_gets_a_table_that_is_refreshed(writer: Writer, tmp_path: Path) -> None:
    writer.begin(time=1e9)
    told = io.StringIO()
    console = Console(file=told, width=100, force_terminal=True)
    follow(tmp_path / "song", console, wait=writer.wait)
    assert "\x1b[" in told.getvalue()  # the cursor moves
    assert "song: trial" in told.getvalue()
    assert "song: finished" in told.getvalue()


def test_a_study_that_has_not_opened_yet(writer: Writer, tmp_path: Path) -> None:
    told = io.StringIO()
    writer.left = []
    follow(tmp_path / "song", Console(file=told, width=100), wait=writer.wait)
    assert "song: finished" in told.getvalue()


def test_ctrl_c_ends_the_watching_quietly(writer: Writer, tmp_path: Path) -> None:
    writer.begin(time=1e9)

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    told = io.StringIO()
    follow(tmp_path / "song", Console(file=told), wait=interrupted)
    assert told.getvalue() == ""


def test_who_died_is_said_to_be_interrupted(writer: Writer, tmp_path: Path) -> None:
    writer.begin(time=1e9)
    writer.store.close()
    told = io.StringIO()
    follow(tmp_path / "song", Console(file=told, width=100))
    assert "song: interrupted" in told.getvalue()
    with pytest.raises(FileNotFoundError, match="holds no study"):
        follow(tmp_path)


def test_the_tail_waits_for_whole_lines(writer: Writer, tmp_path: Path) -> None:
    tail = Tail(tmp_path / "song")
    assert [event["event"] for event in tail.read()] == ["study"]
    log = tmp_path / "song" / "events.jsonl"
    with log.open("ab") as file:
        file.write(b'{"event":"clo')
        file.flush()
        assert tail.read() == []
        file.write(b'sed"}\nnonsense\n')
    with pytest.raises(ValueError, match="line 3 is not an event"):
        tail.read()
