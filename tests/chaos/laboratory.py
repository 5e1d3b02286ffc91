"""A study of stand-ins over several machines, and all that can befall it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from search.store.log import LOG
from tests.chaos.disk import Disk, small_disk
from tests.chaos.driver import FAMILIES, REAL_EPOCHS, SEEDS, STAND_INS, TOP
from tests.chaos.keeper import kept
from tests.chaos.machines import NAME, PATIENCE_SECONDS, Machines, wait
from tests.chaos.standin import ERROR, MEMORY, ORDERS, PACE, TAKEN
from tests.gated import Gate

WORKER = "Trainable"  # in what Ray calls the processes that carry leases
DISK_BYTES = 4 << 30  # at most; with less than a gigabyte free, no study would begin
FAILURES = {MEMORY: "MemoryError: ", ERROR: "UnserialisableError: this cannot be serialised"}


class Laboratory:
    """The machines, the disks and the driver of one study.

    Args:
        kind: Whether trials are real or stand-ins.
        trials: Of each family.

    Attributes:
        disks: What the study's folder and its checkpoints lie on.
        gate: While it is closed, no real trial trains.
    """

    def __init__(self, folder: Path, machines: Machines, kind: str, trials: int) -> None:
        self.folder = folder
        self.kind = kind
        self.machines = machines
        self.disks: list[Disk] = []
        self.gate = Gate(folder / "gated")
        self.trials = trials
        self.results = folder / "disk" / "study"
        self.driver: subprocess.Popen[bytes] | None = None
        self.endings: list[str] = []
        """What drivers said that ended by themselves before the study was over."""

    def start_driver(self) -> None:
        """Begin the study, or go on with it, and wait until it has opened its log."""
        before = self.count("opened")
        place = [str(self.folder), str(self.results), self.machines.address]
        command = [sys.executable, "-P", "-m", "tests.chaos.driver", *place, self.kind]
        slots = self.machines.count * self.machines.cpus
        with self.said.open("wb") as output:
            self.driver = subprocess.Popen(
                [*command, str(self.trials), str(slots)],
                env=self.machines.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait(lambda: self.count("opened") > before or self.ended, "the driver does not begin")

    @property
    def said(self) -> Path:
        """What the driver prints."""
        return self.folder / "driver.log"

    @property
    def ended(self) -> bool:
        """Whether the driver is gone."""
        return self.driver is None or self.driver.poll() is not None

    @property
    def over(self) -> bool:
        """Whether the study has come to its end."""
        return self.driver is not None and self.driver.poll() == 0

    def kill_driver(self) -> None:
        """End it without a word."""
        assert self.driver is not None
        self.driver.send_signal(signal.SIGKILL)
        self.driver.wait()

    def bury(self) -> None:
        """Take note that all of it has been ended."""
        self.machines.bury()
        if self.driver is not None:
            self.driver.wait()

    def revive(self) -> None:
        """Go on after a driver that has ended, and remember what it said if it was not killed."""
        if self.driver is not None and self.driver.poll() not in (None, -signal.SIGKILL):
            self.endings.append(self.said.read_text("utf-8", "replace")[-1000:])
        self.start_driver()

    def count(self, kind: str) -> int:
        """Events of a kind in the log so far."""
        log = self.results / LOG
        with suppress(FileNotFoundError):
            return log.read_bytes().count(f'{{"event":"{kind}"'.encode())
        return 0

    def order(self, what: str) -> None:
        """Have some worker do that in its next epoch, and wait until one has begun to."""
        (self.folder / ORDERS / what).touch()
        wait(lambda: not (self.folder / ORDERS / what).exists() or self.ended, f"{what}: no worker")

    def workers(self, machine: int | None = None) -> list[int]:
        """Processes that carry leases."""
        return self.machines.processes(WORKER, machine)

    def pace(self, seconds: float) -> None:
        """Let epochs take so long."""
        draft = self.folder / f"{PACE}.draft"
        draft.write_text(str(seconds))
        draft.replace(self.folder / PACE)

    def progress(self) -> float:
        """The share of all trials that have begun; successive halving ends most of them at once."""
        return self.count("proposed") / (len(FAMILIES) * (self.trials + TOP * SEEDS))

    def wait_for_reports(self, count: int) -> None:
        """Until so many more epochs are told; a driver that has ended is followed by another.

        Raises:
            TimeoutError: The study is stuck.
        """
        goal, deadline = self.count("reported") + count, time.monotonic() + PATIENCE_SECONDS
        while self.count("reported") < goal and not self.over:
            if self.ended:
                self.revive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing was reported for {PATIENCE_SECONDS:g} s")
            time.sleep(0.05)

    def finish(self, seconds: float) -> None:
        """Let the study come to its end.

        Raises:
            TimeoutError: It does not in time.
        """
        self.pace(0.0)
        deadline = time.monotonic() + seconds
        while not self.over:
            if self.ended:
                self.revive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the study has not ended after {seconds:g} s more")
            time.sleep(0.1)

    def last_words(self) -> str:
        """The ends of the log and of what the driver and the machines have printed."""
        files = (self.results / LOG, self.said, self.folder / "machines.log")
        return "\n".join(file.read_text("utf-8", "replace")[-3000:] for file in files)

    def causes(self) -> dict[int, str]:
        """By trial, what its failure must say, as it was made to fail."""
        found = {}
        for file in (self.folder / TAKEN).iterdir():
            order, trial, _ = file.name.split(".")
            if order in FAILURES:
                found[int(trial)] = FAILURES[order]
        return found


@contextmanager
def laboratory(
    folder: Path, *, kind: str = STAND_INS, trials: int, pace_seconds: float = 0.3
) -> Iterator[Laboratory]:
    """A study that has begun, on three machines that have just come up.

    Args:
        kind: Whether trials are real or stand-ins.
        trials: Of each family.
    """
    for name in (ORDERS, TAKEN):
        (folder / name).mkdir(parents=True)
    lab = Laboratory(folder, Machines(folder, 3), kind, trials)
    lab.gate.open()
    lab.gate.write_study(
        folder,
        trials=trials,
        epochs=REAL_EPOCHS,
        seeds=SEEDS,
        scheduler="none",
        resources="array_size = 1",
        step_seconds=0.0,
    )
    with ExitStack() as stack:
        stack.callback(lab.bury)
        stack.enter_context(kept(NAME, folder))

        def mount(place: Path) -> None:
            lab.disks.append(stack.enter_context(small_disk(place, DISK_BYTES, name=NAME)))

        mount(folder / "disk")
        lab.machines.up()
        lab.machines.wait_for_all()
        lab.pace(pace_seconds)
        lab.start_driver()
        # a disk of its own: the log is open for writing, which keeps a disk from being read-only
        mount(lab.results / "checkpoints")
        yield lab
