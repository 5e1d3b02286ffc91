"""The SSH launcher over real sshd, on machines of namespaces; one is lost and comes back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.chaos.keeper import MARK, ROOT, kept
from tests.gated import Gate
from tests.processes import wait_until

LAB = Path(__file__).with_name("ssh_lab.sh")
TOOLS = ("pgrep", "ssh-keygen", "/usr/sbin/sshd")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("machines"),
]

NAME = "sshlab"  # what ssh_lab.sh calls all that it makes
MACHINES = ("n1", "n2", "n3")
HEAD = "10.83.0.11"
TRIALS, EPOCHS, SEEDS = 9, 6, 2
PATIENCE_SECONDS = 600.0


class Lab:
    """The machines, the script that runs a study on them, and what became of both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.machines = folder, folder / "lab"
        self.place = folder / "it's $(touch ran)"
        self.gate = Gate(self.place)
        self.gate.write_study(
            self.place, trials=TRIALS, epochs=EPOCHS, seeds=SEEDS, scheduler="none"
        )
        self.environ = os.environ | {
            "PATH": f"{self.machines}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            MARK: NAME,
        }

    def do(self, action: str, *words: str) -> str:
        done = subprocess.run(
            [LAB, action, self.machines, *words],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def start(self) -> None:
        """Render the script and run it, as its top says."""
        setup = self.place / "setup.sh"
        small = "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=80000000"
        setup.write_text(f"export PYTHONPATH={ROOT} TMPDIR={self.folder} {small}\n")
        hosts = [word for name in MACHINES for word in ("--host", f"root@{name}")]
        places = ["--folder", str(self.place), "--out", "results", "--setup", str(setup)]
        counts = ["--head", HEAD, "--cpus", "1", "--gpus", "0"]
        render = [sys.executable, "-P", "-m", "search", "cluster", "render", "ssh", "study.toml"]
        subprocess.run(
            [*render, *hosts, *places, *counts, "-o", "run.sh"],
            cwd=self.place,
            env=self.environ,
            check=True,
        )
        self.do("up", str(len(MACHINES)))
        with (self.folder / "run.log").open("w") as log:
            self.script = subprocess.Popen(
                ["bash", "run.sh"],
                cwd=self.place,
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self) -> str:
        return (self.folder / "run.log").read_text()

    def events(self) -> list[dict[str, Any]]:
        (log,) = [*self.place.glob("results/*/events.jsonl")] or [None]
        lines = log.read_bytes().split(b"\n")[:-1] if log else []
        return [json.loads(line) for line in lines]

    def count(self, kind: str) -> int:
        return sum(event["event"] == kind for event in self.events())

    def left_on(self, machine: str) -> list[str]:
        """What runs there besides what belongs to the machine itself."""
        own = ("bash -c hostname", "sshd: /usr/sbin/sshd -f", "sleep 60", "ps -eo")
        lines = self.do("processes", machine).splitlines()
        return [line for line in lines if line.strip() and not line.startswith((*own, " "))]

    def wait(self, holds: Callable[[], Any]) -> None:
        wait_until(holds, PATIENCE_SECONDS, words=self.said, beside=self.script, pause_seconds=0.2)

    def lose(self, machine: str) -> None:
        """Cut its cable until its trial goes on elsewhere; put it back until one trains there."""
        self.gate.open()
        self.wait(lambda: all(map(self.gate.last_training_at, MACHINES)))
        self.wait(lambda: self.count("reported") >= 6)
        self.do("cut", machine)
        self.wait(lambda: any(event.get("attempt", 0) > 0 for event in self.events()))
        self.gate.close()
        back = time.time()
        self.do("heal", machine)
        self.wait(lambda: any("raylet" in line for line in self.left_on(machine)))
        self.gate.open()
        self.wait(lambda: self.gate.last_training_at(machine) > back)

    def end(self) -> None:
        """Ask the script to end, if it has not."""
        if self.script.poll() is None:
            self.script.send_signal(signal.SIGTERM)
            self.script.wait(60)


@pytest.fixture(scope="module")
def lab(machines: None) -> Iterator[Lab]:
    """A study on three machines that has ended; one of them was lost, and came back."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"machines over SSH need {', '.join(missing)}, not found here")
    # its path is short enough for those of Ray's sockets
    with TemporaryDirectory(prefix="ssh-", dir="/tmp") as folder, kept(NAME, Path(folder)):
        lab = Lab(Path(folder))
        lab.start()
        try:
            lab.lose("n3")
            lab.script.wait(PATIENCE_SECONDS)
            yield lab
        finally:
            lab.end()


def test_the_study_ends_with_exactly_its_budget(lab: Lab) -> None:
    assert lab.script.returncode == 0, lab.said()
    events = lab.events()
    numbers = [event["trial"] for event in events if event["event"] == "proposed"]
    assert numbers == list(range(TRIALS + SEEDS))
    ended = {e["trial"]: e["state"] for e in events if e["event"] == "ended"}
    assert ended == dict.fromkeys(range(TRIALS + SEEDS), "complete")
    assert Counter(event["event"] for event in events)["tested"] == SEEDS


def test_all_machines_were_asked_first(lab: Lab) -> None:
    assert "All is right." in lab.said()
    assert all(f" {name} " in lab.said() for name in MACHINES)


def test_nothing_is_left_on_the_machines(lab: Lab) -> None:
    deadline = time.monotonic() + 30
    while any(map(lab.left_on, MACHINES)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert {name: lab.left_on(name) for name in MACHINES} == {name: [] for name in MACHINES}


def test_the_token_was_told_to_nobody_and_no_path_was_run(lab: Lab) -> None:
    assert not list(lab.folder.rglob("ran*"))
    results = "".join(
        file.read_text(errors="replace") for file in lab.place.rglob("*") if file.is_file()
    )
    assert "RAY_AUTH_TOKEN=" not in results + lab.said()
