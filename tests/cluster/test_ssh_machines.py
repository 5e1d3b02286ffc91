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
from typing import Any

import pytest

LAB = Path(__file__).with_name("ssh_lab.sh")
ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("ip", "nsenter", "unshare", "ssh-keygen", "/usr/sbin/sshd")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
        reason="needs root, openssh-server and iproute2",
    ),
]

MACHINES = ("n1", "n2", "n3")
HEAD = "10.83.0.11"
TRIALS, EPOCHS, SEEDS = 9, 6, 2
PATIENCE_SECONDS = 600.0
STUDY = f"""
name = "digits"
benchmark = "digits_rows"
families = ["slow.py:Slow"]
budget = {{ trials_per_family = {TRIALS}, epochs = {EPOCHS} }}
search = {{ sampler = "random", scheduler = "none" }}
confirm = {{ seeds = {SEEDS} }}

[space."slow.py:Slow"]
hidden_size = 16
num_layers = 1
batch_size = 32
bidirectional = false
optimizer = "adamw"
"""
SLOW = """
import socket
import time
from pathlib import Path

from trainers.models.recurrent import GRU

PLACE = Path({place!r})


class Slow(GRU):
    # trains while the gate is there, and a second an epoch; leaves the name of its machine

    def forward(self, x, mask):
        while self.training and not (PLACE / "gate").exists():
            time.sleep(0.02)
        if self.training:
            (PLACE / "at" / socket.gethostname()).touch()
            time.sleep(0.02)
        return super().forward(x, mask)
"""


class Lab:
    """The machines, the script that runs a study on them, and what became of both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.machines = folder, folder / "lab"
        self.place = folder / "it's $(touch ran)"
        (self.place / "at").mkdir(parents=True)
        (self.place / "slow.py").write_text(SLOW.format(place=str(self.place)))
        (self.place / "study.toml").write_text(STUDY)
        self.environ = os.environ | {
            "PATH": f"{self.machines}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def do(self, action: str, *words: str) -> str:
        done = subprocess.run(
            [LAB, action, self.machines, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def start(self) -> None:
        """Render the script and run it, as its top says."""
        setup = self.place / "setup.sh"
        setup.write_text(
            f"export PYTHONPATH={ROOT} RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=80000000\n"
        )
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
        self.log = (self.folder / "run.log").open("w+")
        self.script = subprocess.Popen(
            ["bash", "run.sh"],
            cwd=self.place,
            env=self.environ,
            stdout=self.log,
            stderr=self.log,
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

    def last_training_at(self, machine: str) -> float:
        mark = self.place / "at" / machine
        return mark.stat().st_mtime if mark.exists() else 0.0

    def left_on(self, machine: str) -> list[str]:
        """What runs there besides what belongs to the machine itself."""
        own = ("bash -c hostname", "sshd: /usr/sbin/sshd -f", "sleep 60", "ps -eo")
        lines = self.do("processes", machine).splitlines()
        return [line for line in lines if line.strip() and not line.startswith((*own, " "))]

    def wait(self, holds: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert self.script.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A study on three machines; the cable of one is cut, and put back."""
    lab = Lab(tmp_path_factory.mktemp("ssh"))
    lab.start()
    gate = lab.place / "gate"
    try:
        gate.touch()
        lab.wait(lambda: all(map(lab.last_training_at, MACHINES)) and lab.count("reported") >= 6)
        lab.do("cut", "n3")
        lab.wait(lambda: any(event.get("attempt", 0) > 0 for event in lab.events()))
        gate.unlink()
        back = time.time()
        lab.do("heal", "n3")
        lab.wait(lambda: any("raylet" in line for line in lab.left_on("n3")))
        gate.touch()
        lab.wait(lambda: lab.last_training_at("n3") > back)
        lab.script.wait(PATIENCE_SECONDS)
        yield lab
    finally:
        if lab.script.poll() is None:
            lab.script.send_signal(signal.SIGTERM)
            lab.script.wait(60)
        lab.log.close()
        lab.do("down")


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
