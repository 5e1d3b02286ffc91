"""Three machines, one killed and one cut off in mid-study; and all of them free after it."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from search.store.log import read_events
from tests.chaos.check import Budget, problems_of
from tests.chaos.driver import EPOCHS, FAMILIES, REAL, REAL_EPOCHS, SEEDS, TOP
from tests.chaos.laboratory import Laboratory, laboratory
from tests.chaos.machines import wait

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("machines"),
]

CUT, KILLED = 1, 2  # the third stays as it is


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for the paths of Ray's sockets."""
    with TemporaryDirectory(prefix="three-", dir="/tmp") as name:
        yield Path(name)


def lose_two(lab: Laboratory) -> None:
    """Cut one machine off and the power of another, and then make both good."""
    wait(lambda: len(lab.workers()) == 3, "three workers do not come up")
    before = lab.count("interrupted")
    lab.machines.cut(CUT)
    lab.machines.kill(KILLED)
    cut_off = set(lab.workers(CUT))
    assert cut_off
    lab.wait_for_reports(20)  # the machine that is left goes on with what the others had
    lab.gate.close()  # on an idle machine, trials end sooner than others come up
    # healed before it was missed, a machine would just go on
    wait(lambda: lab.count("interrupted") >= before + 2, "the two machines are not missed")
    lab.machines.heal(CUT)
    lab.machines.boot(KILLED)
    wait(lambda: not cut_off & set(lab.workers(CUT)), "what was given up does not end")
    wait(lambda: len(lab.workers()) == 3, "the machines do not get work again")
    lab.gate.open()


def epochs_of_attempts(events: list[dict[str, Any]]) -> dict[int, list[list[int]]]:
    """By trial, the epochs that each attempt told."""
    told: dict[int, dict[int, list[int]]] = {}
    for event in events:
        if event["event"] == "reported":
            attempts = told.setdefault(event["trial"], {})
            attempts.setdefault(event["attempt"], []).append(event["epoch"])
    return {trial: list(attempts.values()) for trial, attempts in told.items()}


def test_a_study_of_stand_ins_ends_as_without_faults(folder: Path) -> None:
    with laboratory(folder, trials=200) as lab:
        lose_two(lab)
        lab.finish(180.0)
        budget = Budget(200 * len(FAMILIES), len(FAMILIES) * TOP * SEEDS, EPOCHS)
        assert problems_of(lab.results, budget) == []
        assert lab.endings == []
        events = list(read_events(lab.results))
    lost = [event for event in events if event["event"] == "interrupted"]
    # on a slow machine, what is lost with its node has been silent for long already
    assert {event["cause"].partition(":")[0] for event in lost} <= {"worker died", "hung"}
    assert len({event["trial"] for event in lost}) >= 2
    machines = {event["machine"] for event in events if event["event"] == "reported"}
    assert machines == {"n1", "n2", "n3"}


def test_trials_that_train_go_on_from_their_checkpoints(folder: Path) -> None:
    with laboratory(folder, kind=REAL, trials=6) as lab:
        wait(lambda: len(checkpoints(lab)) == 3, "three trials do not save")
        had = checkpoints(lab)
        lose_two(lab)
        lab.finish(300.0)
        assert problems_of(lab.results, Budget(6, TOP * SEEDS, REAL_EPOCHS)) == []
        events = list(read_events(lab.results))
    lost = {event["trial"] for event in events if event["event"] == "interrupted"}
    assert len(lost) >= 2
    attempts = epochs_of_attempts(events)
    for trial in lost & set(had):
        for epochs in attempts[trial][1:]:
            assert epochs[0] > had[trial]


def checkpoints(lab: Laboratory) -> dict[int, int]:
    """Epochs in the checkpoint of each trial that has one."""
    folder = lab.results / "checkpoints"
    return {
        int(file.name): len(json.loads(file.with_name(f"{file.name}.history.json").read_text()))
        for file in folder.glob("[0-9]*")
        if file.name.isdigit()
    }


def test_all_machines_are_free_within_seconds_of_the_end(folder: Path) -> None:
    with laboratory(folder, trials=3, pace_seconds=0.0) as lab:
        lab.finish(120.0)
        wait(lambda: not lab.workers(), "workers outlive their study", 10.0)
        lab.machines.dismiss()
        wait(lambda: not lab.machines.processes("ray"), "Ray outlives its machines' part", 10.0)
