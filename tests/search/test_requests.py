"""What people ask of a running study, from the file to the conductor."""

import signal
from pathlib import Path

import pytest

from search.cli import main
from search.runner.attendant import Attendant
from search.runner.interruption import Interrupted, Interruption
from search.store.requests import REQUESTS, StopRequest, ask, take_requests
from search.store.store import Store
from search.study import Study


class Conductor:
    """Knows three trials, and remembers which were to stop."""

    def __init__(self) -> None:
        self.state = self
        self.trials = [0, 1, 2]
        self.stopped: list[int] = []

    def stop_trial(self, number: int) -> None:
        self.stopped.append(number)


def test_requests_are_taken_once_and_in_order(tmp_path: Path) -> None:
    asked = [StopRequest(3), StopRequest(), StopRequest(1)]
    files = [ask(tmp_path, request) for request in asked]
    (tmp_path / REQUESTS / "0-torn.json").write_text('{"stop": {"tri', "utf-8")
    (tmp_path / REQUESTS / "1-strange.json").write_text('{"stop": {"tree": 7}}', "utf-8")
    assert take_requests(tmp_path) == asked
    assert take_requests(tmp_path) == []
    assert not any(file.exists() for file in files)
    assert not list((tmp_path / REQUESTS).iterdir())


def test_the_driver_does_what_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, StopRequest())  # of a driver that is gone
    now = 100.0
    monkeypatch.setattr("search.runner.attendant.time.monotonic", lambda: now)
    conductor, interruption = Conductor(), Interruption()
    attend = Attendant(tmp_path, conductor, interruption)
    attend()
    assert interruption.signum is None
    ask(tmp_path, StopRequest(2))
    ask(tmp_path, StopRequest(7))  # no such trial
    attend()
    assert conductor.stopped == []  # it looks once a second
    now += 1
    attend()
    assert conductor.stopped == [2]
    ask(tmp_path, StopRequest())
    now += 1
    attend()
    with pytest.raises(Interrupted, match="interrupted by `seqtune stop`") as caught:
        interruption.check()
    assert caught.value.signum == signal.SIGTERM


def test_what_cannot_be_stopped_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["stop", str(tmp_path / "mine"), *words])
        assert left.value.code == 2
        assert not (tmp_path / "mine" / REQUESTS).exists()
        return capsys.readouterr().err

    settings = {"name": "mine", "benchmark": "parity", "families": ["gru"]}
    with Store.create(
        tmp_path / "mine", Study.from_mapping(settings | {"budget": {"seconds": 9}})
    ) as store:
        store.append(
            {"event": "proposed", "trial": 0, "family": "gru", "proposal": 0, "config": {}}
            | {"seed": 0, "finalist_of": None}
        )
        store.append(
            {"event": "ended", "trial": 0, "attempt": 1, "epoch": 1, "state": "complete"}
            | {"cause": "", "traceback": ""}
        )
        assert "has no trial 5; it has begun 1" in stop("--trial", "5")
        assert "trial 0 must not have ended to be stopped, it is complete" in stop("--trial", "0")
    assert "must be running to be stopped, and it is not" in stop()
