"""A study in an object store, from its first lease to its export, driven from two machines."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.bucket import Bucket
from search.store.segments import read_log
from tests.gated import Gate
from tests.processes import command_of, living, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
TRIALS, EPOCHS, SEEDS = 6, 9, 2
PATIENCE_SECONDS = 120.0
MARK = "SEQTUNE_TEST"


class Machine:
    """A home and a cache of its own; what is started there can be told from everything else."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        folder.mkdir()
        gate.write_study(
            folder,
            trials=TRIALS,
            epochs=EPOCHS,
            seeds=SEEDS,
            resources="max_concurrent = 1",
            step_seconds=0.01,
        )

    @property
    def environ(self) -> dict[str, str]:
        own = {"XDG_CACHE_HOME": str(self.folder / "cache"), MARK: str(self.folder)}
        return os.environ | own | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "search", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, output, errors

    def left(self) -> list[str]:
        """The command lines of Ray's processes that were started here and live."""
        return [command_of(pid) for pid in living(MARK, str(self.folder), "ray")]


def events_at(url: str) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in read_log(Bucket(url))[1].splitlines()]
    except FileNotFoundError:
        return []


def wait(holds: Callable[[], Any], driver: subprocess.Popen[str] | None = None) -> None:
    def said() -> str:
        return str(driver.communicate()) if driver and driver.poll() is not None else ""

    wait_until(holds, PATIENCE_SECONDS, words=said, beside=driver, pause_seconds=0.2)


def epochs_told(url: str) -> int:
    return sum(event["event"] == "reported" for event in events_at(url))


@pytest.fixture(scope="module")
def story(object_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Killed on one machine, resumed and stopped on another, brought to its end on the first."""
    folder = tmp_path_factory.mktemp("bucket")
    gate = Gate(folder)
    one, two = Machine(folder / "one", gate), Machine(folder / "two", gate)
    told: dict[str, Any] = {"url": "s3://studies/life/digits", "machines": (one, two)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_store.environ.items():
            patch.setenv(name, value)
        try:
            kill_and_resume(told, gate, object_store.process)
            stop_and_resume(told, gate)
            told["events"] = events_at(told["url"])
            yield told
        finally:
            object_store.process.send_signal(signal.SIGCONT)
            for process in (*one.started, *two.started):
                process.kill()
                for pipe in (process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()
                process.wait()


def kill_and_resume(told: dict[str, Any], gate: Gate, server: subprocess.Popen[bytes]) -> None:
    """Killed on one machine; on the other it goes on, and through an outage of the store."""
    url, (one, two) = told["url"], told["machines"]
    gate.open()
    told["driver"] = one.start("run", "study.toml", "--out", "s3://studies/life")
    wait(lambda: epochs_told(url) >= 4 and Bucket(url).sizes("checkpoints"), told["driver"])
    gate.close()
    told["while it runs"] = two.ask("status", url)
    told["two drivers"] = two.ask("resume", url)
    told["driver"].kill()
    told["driver"].communicate()
    wait(lambda: not one.left())
    told["killed"] = two.ask("status", url)
    before = epochs_told(url)
    told["driver"] = two.start("resume", url)
    gate.open()
    wait(lambda: epochs_told(url) >= before + 2, told["driver"])
    server.send_signal(signal.SIGSTOP)
    time.sleep(3)
    server.send_signal(signal.SIGCONT)


def stop_and_resume(told: dict[str, Any], gate: Gate) -> None:
    """Stopped from the first machine, and brought to its end there."""
    url, (one, _), driver = told["url"], told["machines"], told["driver"]
    gate.close()
    stop = one.start("stop", url)
    wait(lambda: Bucket(url).sizes("requests") or stop.poll() is not None, driver)
    gate.open()
    told["stop"] = (*stop.communicate(timeout=PATIENCE_SECONDS), stop.returncode)
    told["stopped"] = (*driver.communicate(timeout=PATIENCE_SECONDS), driver.returncode)
    told["end"] = one.ask("resume", url)


def test_others_see_how_it_stands(story: dict[str, Any]) -> None:
    url = story["url"]
    code, said, _ = story["while it runs"]
    assert code == 0
    assert said.startswith(f"{url}: runs on ")
    code, _, error = story["two drivers"]
    assert code == 2
    assert error.startswith(f"seqtune: study {url} is being run by pid ")
    code, said, _ = story["killed"]
    assert said.startswith(f"{url}: interrupted")
    assert f"Go on with: seqtune resume {url}\n" in said


def test_it_is_stopped_through_the_store(story: dict[str, Any]) -> None:
    said, error, code = story["stop"]
    assert code == 0, error
    assert said == f"stopped, everything is saved; go on with: seqtune resume {story['url']}\n"
    assert story["stopped"][-1] == 143, story["stopped"]


def test_it_ends_with_exactly_its_budget(story: dict[str, Any]) -> None:
    code, said, error = story["end"]
    assert code == 0, error
    assert f"is in {story['url']}/best\n" in said
    events = story["events"]
    numbers = [event["trial"] for event in events if event["event"] == "proposed"]
    assert numbers == list(range(TRIALS + SEEDS))
    ended = Counter(event["trial"] for event in events if event["event"] == "ended")
    assert ended == dict.fromkeys(range(TRIALS + SEEDS), 1)
    reported = Counter((e["trial"], e["epoch"]) for e in events if e["event"] == "reported")
    assert max(reported.values()) <= 3  # an epoch that a killed driver did not tell of, again
    assert Counter(event["event"] for event in events)["tested"] == SEEDS


def test_trials_go_on_from_the_checkpoints_of_the_other_machine(story: dict[str, Any]) -> None:
    """A lease first reports the epoch after the last; but one may have died before it had saved."""
    known: dict[int, int] = {}
    begun: set[int] = set()
    going_on, again = 0, 0
    for event in story["events"]:
        if event["event"] == "leased":
            begun.add(event["trial"])
        elif event["event"] == "reported":
            trial, epoch = event["trial"], event["epoch"]
            if trial in begun:
                begun.remove(trial)
                going_on += 1 < epoch == known[trial] + 1
                again += epoch <= known.get(trial, 0)
            known[trial] = max(epoch, known.get(trial, 0))
    assert going_on >= 2
    assert again <= 1


def test_nothing_is_left_on_the_machines(story: dict[str, Any]) -> None:
    for machine in story["machines"]:
        assert machine.left() == []
    runs = [list((m.folder / "cache/seqtune/runs").glob("*/digits")) for m in story["machines"]]
    assert runs[0] == []  # it brought the study to its end: all is in the store
    assert sorted(Bucket(story["url"]).files()) == [
        "behaviour.json",
        "environment.json",
        "next.toml",
        "sources.json",
        "spaces.json",
        "study.toml",
    ]


def test_results_are_read_from_everywhere(story: dict[str, Any], tmp_path: Path) -> None:
    url, (_, two) = story["url"], story["machines"]
    code, said, error = two.ask("leaderboard", url, "--format", "json")
    (row,) = [row for row in json.loads(said) if row["rank"] == 1]
    assert (row["trials"], row["complete"] + row["pruned"]) == (TRIALS, TRIALS), error
    assert row["test_mean"] > 0.5
    assert row["test_low_over_examples"] < row["test_mean"]  # losses of single examples came along
    assert two.ask("report", url)[1] == f"the report is in {url}/report.html\n"
    assert Bucket(url).read("report.html").startswith(b"<!doctype html>")
    code, said, error = two.ask("export", url, "--output", str(tmp_path / "model"))
    assert code == 0, error
    assert (tmp_path / "model/weights.safetensors").read_bytes() == Bucket(url).read(
        "best/weights.safetensors"
    )
