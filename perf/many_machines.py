"""Ten thousand trials over many machines: what each costs, early and late, and the driver takes.

Trials of one epoch that train nothing go the whole way over a cluster of several raylets on this
machine: proposed, leased, carried by Ray Tune, reported, written to a log on disk. Printed are, for
the first, the middle and the last tenth of the trials, the wall clock and the driver's processor
time of each; the driver's memory; and whether the log holds every trial once.

    python -m perf.many_machines --trials 10000 --machines 8 --cpus 8
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cluster.connect import connect, environment
from cluster.node import own_address
from cluster.preflight import wait_for_nodes
from perf.overhead import SPACE, study
from perf.report import arguments, judged, publish, table
from search.motion.conductor import Conductor
from search.runner.interruption import catch_signals
from search.runner.leases import Crew, run_leases
from search.runner.message import Message
from search.runner.packages import ROOT
from search.store.log import read_events, whole_lines
from search.store.store import Store
from search.trial import Lease, Outcome

PATIENCE_SECONDS = 600.0
MOST_MEMORY_MB, FLAT = 1000, 1.5
KINDS = ("proposed", "leased", "reported", "ended")
STORE_BYTES = 80_000_000  # Ray's object store of each machine; nothing is in it


class StandIn:
    """A worker that trains nothing; its process imports no torch."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        """Nothing is needed."""

    def take(self, lease: Lease, checkpoint: Path) -> None:
        """Nothing is ever gone on with: each trial has one lease."""
        self.lease = lease

    def work(self) -> Message:
        """Say that an epoch is over."""
        loss = abs(self.lease.trial.config["dropout"] - 0.2)
        measured = {"epoch": 1, "valid": {"loss": loss}, "train_loss": loss, "parameters": 1}
        return Message([measured | {"seconds": 0.0}], Outcome.reached(1))

    def put_down(self) -> None:
        """Nothing is kept."""


class Mark(NamedTuple):
    """Where the driver stood when a trial ended."""

    wall: float
    processor: float
    memory_bytes: int


@contextmanager
def machines(count: int, cpus: int) -> Iterator[str]:
    """A head without CPUs and so many raylets, on this machine; the head's address."""
    address = own_address("127.0.0.1")
    node = [sys.executable, "-P", "-m", "cluster.node"]
    parts = [[*node, "head", "--address", address, "--cpus", "0"]]
    parts += [[*node, "worker", "--address", address, "--cpus", str(cpus)]] * count
    running = [subprocess.Popen(part, cwd=ROOT) for part in parts]  # noqa: S603 # ours
    try:
        yield address
        assert all(process.poll() is None for process in running), "a machine has ended"
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait()


def join(stack: ExitStack, address: str) -> None:
    """Connect for as long as the stack lives; the head may still be starting."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            stack.enter_context(connect(address, code=ROOT))
        except ConnectionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(1.0)
        else:
            return


def measure(trials: int, slots: int, sampler: str, folder: Path) -> list[Mark]:
    """Run the study in the connected session; a mark at each end of a trial."""
    asked, marks = study(trials, sampler), list[Mark]()
    with Store.create(folder, asked) as store:

        def record(event: dict[str, Any]) -> None:
            store.append(event)
            if event["event"] == "ended":
                marks.append(Mark(time.perf_counter(), time.process_time(), memory_bytes()))

        conductor = Conductor(
            spaces=dict.fromkeys(asked.families, SPACE),
            maximize=False,
            metric="loss",
            study=asked,
            record=record,
        )
        with catch_signals() as interruption:
            run_leases(
                conductor,
                lambda _: Crew(StandIn, {}, slots=slots, cpus=1),
                checkpoint_path=store.checkpoint_path,
                aborted=print,
                interruption=interruption,
            )
    return marks


def memory_bytes() -> int:
    """What of this process is in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def check(folder: Path, trials: int) -> None:
    """See to it that the log tells each trial's life once, in whole lines."""
    told = list(read_events(folder))
    lives = Counter(event["event"] for event in told)
    ended = {event["trial"] for event in told if event.get("state") == "complete"}
    assert len(told) == len(whole_lines(folder))
    assert [lives[kind] for kind in KINDS] == [trials] * len(KINDS), lives
    assert ended == set(range(trials))


def row(name: str, marks: list[Mark]) -> list[str]:
    """What a trial took between the first and the last of these ends."""
    first, last, count = marks[0], marks[-1], len(marks) - 1
    wall = (last.wall - first.wall) / count * 1000
    processor = (last.processor - first.processor) / count * 1000
    held = f"{last.memory_bytes / 1e6:,.0f} MB"
    return [name, f"{wall:.1f} ms", f"{processor:.1f} ms", held]


def text(given: Any) -> str:
    """The section."""
    slots, tenth = given.machines * given.cpus, given.trials // 10
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(STORE_BYTES),
    }
    with tempfile.TemporaryDirectory() as home, environment(variables):
        folder = Path(home, "s")
        with machines(given.machines, given.cpus) as address, ExitStack() as stack:
            join(stack, address)
            assert wait_for_nodes(given.machines + 1, PATIENCE_SECONDS) == given.machines + 1
            began = time.perf_counter()
            marks = measure(given.trials, slots, given.sampler, folder)
        check(folder, given.trials)
    middle = marks[len(marks) // 2 - tenth // 2 :][:tenth]
    parts = {"first": marks[:tenth], "middle": middle, "last": marks[-tenth:]}
    early, late = (
        part[-1].processor - part[0].processor for part in (parts["middle"], parts["last"])
    )
    memory = max(mark.memory_bytes for mark in marks) / 1e6
    flat = f"a trial of the last tenth costs {late / early:.2f} times one of the middle tenth"
    headings = ["tenth", "a trial", "of it the driver's processor time", "driver's memory"]
    waited = marks[0].wall - began
    return f"""
{given.trials:,} trials of one epoch that train nothing, in processes without torch, by Ray Tune on
{slots} CPUs that {given.machines} raylets on this machine declare; sampler `{given.sampler}`. The
first trial ended {waited:.0f} s after the study began. Afterwards the log is read, and tells every
trial's life once.

{table(headings, [row(name, part) for name, part in parts.items()])}

{judged(f"{flat} in the driver's processor time (at most {FLAT:g})", late <= FLAT * early)}
{judged(f"the driver holds {memory:,.0f} MB (under {MOST_MEMORY_MB:,})", memory < MOST_MEMORY_MB)}
"""


def main() -> None:
    """Measure once and renew the section."""
    parser = arguments(__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--cpus", type=int, default=8, help="declared by each machine")
    parser.add_argument("--sampler", default="random")
    given = parser.parse_args()
    publish("many_machines", "Ten thousand trials over eight raylets", text(given), given)


if __name__ == "__main__":
    main()
