"""A driver that is killed, interrupted and terminated in mid-study, and goes on each time."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.processes import command_of, living, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
TRIALS, EPOCHS, SEEDS = 3, 30, 1
PATIENCE_SECONDS = 120.0

DRIVER = f"""
import sys
from functools import partial
sys.path.insert(0, {str(ROOT)!r})
from search.runner import crews, runner
from search.runner.interruption import Interrupted
from search.study import Study

study = Study.from_mapping({{
    "name": "digits", "benchmark": "digits_rows", "families": ["gru"],
    "budget": {{"trials_per_family": {TRIALS}, "epochs": {EPOCHS}}},
    "search": {{"sampler": "random", "scheduler": "none"}},
    "confirm": {{"seeds": {SEEDS}}},
    "space": {{"gru": {{"hidden_size": 16, "num_layers": 1, "bidirectional": False,
                        "batch_size": 128, "optimizer": "adamw", "layer_norm": False}}}},
}})
crews.Duty = partial(crews.Duty, checkpoint_seconds=0.2)
try:
    print(runner.run_study(study, sys.argv[1], resume=sys.argv[2] == "resume"))
except Interrupted as interrupted:
    sys.exit(128 + interrupted.signum)
"""


@dataclass
class Driver:
    """One driver after another on the same study.

    `had` is, for each driver that was ended, what the checkpoints then held: epochs by trial.
    """

    folder: Path
    had: list[dict[int, int]] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """What the processes of the present driver have in their environment."""
        return f"{self.folder}/{len(self.had)}"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self, mode: str) -> None:
        self.log = self.folder / f"{len(self.had)}.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(self.results), mode],
                cwd=self.folder,
                env=os.environ | {"RAY_AUTH_MODE": "disabled", "SEQTUNE_TEST": self.mark},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def events(self) -> list[dict[str, Any]]:
        """The events in whole lines of the log so far."""
        log = self.results / "events.jsonl"
        lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
        return [json.loads(line) for line in lines]

    def wait_for_training(self, reports: int) -> None:
        """Until this driver has told of so many epochs, and some checkpoint has been saved."""
        before = len(self.events())
        self.wait(lambda: self.reports_after(before) >= reports and self.checkpoints() != {})

    def reports_after(self, place: int) -> int:
        return sum(event["event"] == "reported" for event in self.events()[place:])

    def checkpoints(self) -> dict[int, int]:
        """Epochs in the checkpoint of each trial that has one."""
        folder = self.results / "checkpoints"
        return {
            int(file.name): len(json.loads((folder / f"{file.name}.history.json").read_text()))
            for file in folder.glob("[0-9]*")
            if file.name.isdigit()
        }

    def end(self, signum: int, *, group: bool = False) -> tuple[int, list[str]]:
        """Send a signal, as a terminal does to the whole `group`; exit code, and what is left."""
        if group:
            os.killpg(self.process.pid, signum)
        else:
            self.process.send_signal(signum)
        code = self.process.wait(PATIENCE_SECONDS)
        if signum == signal.SIGKILL:  # Ray has to find out by itself
            self.wait(lambda: not self.left("Trainable"))
        left = self.left("ray")
        self.had.append(self.checkpoints())
        return code, left

    def left(self, name: str) -> list[str]:
        """Command lines of the present driver's living processes that contain `name`."""
        return [command_of(pid) for pid in living("SEQTUNE_TEST", self.mark, name)]

    def wait(self, holds: Callable[[], bool]) -> None:
        killed = self.process.poll() == -signal.SIGKILL
        beside = None if killed else self.process
        wait_until(holds, PATIENCE_SECONDS, words=self.log.read_text, beside=beside)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A study under four drivers: killed, interrupted by Ctrl-C, terminated, and left alone."""
    driver = Driver(tmp_path_factory.mktemp("story"))
    told: dict[str, Any] = {"driver": driver}
    try:
        driver.start("new")
        driver.wait_for_training(8)
        told["killed"], _ = driver.end(signal.SIGKILL)
        for name, signum in (("interrupted", signal.SIGINT), ("terminated", signal.SIGTERM)):
            driver.start("resume")
            driver.wait_for_training(8)
            code, left = driver.end(signum, group=signum == signal.SIGINT)
            told[name], told[f"left when {name}"] = code, left
        driver.start("resume")
        told["done"] = driver.process.wait(PATIENCE_SECONDS)
        told["left when done"] = driver.left("ray")
        told["events"] = driver.events()
        yield told
    finally:
        driver.process.kill()


def test_exit_codes_say_what_happened(story: dict[str, Any]) -> None:
    codes = [story[name] for name in ("killed", "interrupted", "terminated", "done")]
    assert codes == [-signal.SIGKILL, 130, 143, 0], story["driver"].log.read_text()


def test_no_process_is_left_behind(story: dict[str, Any]) -> None:
    for name in ("interrupted", "terminated", "done"):
        assert story[f"left when {name}"] == []


def test_the_study_ends_with_exactly_its_budget(story: dict[str, Any]) -> None:
    proposed = [event for event in story["events"] if event["event"] == "proposed"]
    ended = {e["trial"]: e["state"] for e in story["events"] if e["event"] == "ended"}
    assert [event["trial"] for event in proposed] == list(range(TRIALS + SEEDS))
    assert [event["finalist_of"] is None for event in proposed] == [True] * TRIALS + [False] * SEEDS
    assert ended == dict.fromkeys(range(TRIALS + SEEDS), "complete")
    assert len({json.dumps(event["config"]) for event in proposed[:TRIALS]}) == TRIALS
    assert Counter(e["event"] for e in story["events"])["tested"] == SEEDS


def test_no_trial_with_a_checkpoint_was_trained_again_from_scratch(story: dict[str, Any]) -> None:
    attempts: dict[int, list[list[int]]] = defaultdict(list)
    for event in story["events"]:
        if event["event"] == "leased":
            attempts[event["trial"]].append([])
        elif event["event"] == "reported":
            attempts[event["trial"]][-1].append(event["epoch"])
    driver = story["driver"]
    assert any(driver.had)
    for had in driver.had:
        for trial, epochs in had.items():
            begun_there = [told for told in attempts[trial] if told and told[0] <= epochs]
            assert len(begun_there) >= 1
    for trial, told in attempts.items():
        starts = [epochs[0] for epochs in told if epochs]
        assert starts[0] == 1
        assert all(start > 1 for start in starts[1:]), (trial, told)
        assert {epoch for epochs in told for epoch in epochs} == set(range(1, EPOCHS + 1))


def test_what_a_signal_ended_had_lost_nothing(story: dict[str, Any]) -> None:
    """After SIGINT and SIGTERM no epoch is trained again: all that was told had been saved."""
    told = [(e["trial"], e["epoch"]) for e in story["events"] if e["event"] == "reported"]
    opened = [place for place, e in enumerate(story["events"]) if e["event"] == "opened"]
    assert len(opened) == 4
    after_kill = [
        (e["trial"], e["epoch"]) for e in story["events"][opened[1] :] if e["event"] == "reported"
    ]
    assert len(after_kill) == len(set(after_kill))
    assert set(told) >= set(after_kill)
    # a signal between two leases finds nothing to interrupt
    stops = [e for e in story["events"] if e["event"] == "interrupted"]
    assert not any(stop["lost"] for stop in stops)
    assert sum(e["event"] == "closed" for e in story["events"]) == 3
