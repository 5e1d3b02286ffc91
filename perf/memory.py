"""The most memory that the driver and each worker hold: in the demo, on `ett_h1`, with much data.

Each study is run by the command line, and its processes are looked at several times a second: what
is resident (RSS), what is their own (USS, without Ray's object store), and what they hold in
proportion where pages are shared (PSS), in Ray's object store too. Needs Linux, and psutil (in the
`dev` extra).

    python -m perf.memory                               # some three minutes
    python -m perf.memory --studies ett_h1
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from perf.report import OURS, PROGRAM, arguments, judged, publish, table

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 300
LOOK_SECONDS = 0.3
STORE = "plasma"  # Ray's word for its object store
WORKER = "ray::LeaseTrainable"
SEARCH_ALONE = ("--set", "confirm.top_per_family=0", "--set", "search.scheduler=none")
SMALL = ("--families", "lstm,tcn", "--epochs", "1", "--trials-per-family", "2", *SEARCH_ALONE)
LARGE = ("--families", "gru", "--epochs", "20", "--trials-per-family", "4", *SEARCH_ALONE)
STUDIES = {
    "demo": (str(ROOT / "examples" / "digits.toml"),),
    "ett_h1": ("--benchmark", "ett_h1", *SMALL),
    "large": ("--benchmark", f"{ROOT / 'perf' / 'made_up_data.py'}:MadeUp", *LARGE),
}
MB = 1e6


@dataclass(slots=True)
class Peaks:
    """The most of each kind that was ever seen, in megabytes."""

    resident: float = 0.0
    own: float = 0.0
    proportional: float = 0.0
    store: float = 0.0
    """Resident pages of the object store."""

    def see(self, process: psutil.Process) -> float:
        """Look at a process; the part of the object store's pages that falls to it."""
        info = process.memory_full_info()
        maps = [each for each in process.memory_maps() if STORE in each.path]
        self.resident = max(self.resident, info.rss / MB)
        # a page of the store that nobody else has touched yet counts as this process's own
        private = sum(each.private_clean + each.private_dirty for each in maps)
        self.own = max(self.own, (info.uss - private) / MB)
        self.proportional = max(self.proportional, info.pss / MB)
        self.store = max(self.store, sum(each.rss for each in maps) / MB)
        return float(sum(each.pss for each in maps) / MB)


@dataclass(slots=True)
class Seen:
    """What was seen of one study.

    Attributes:
        workers: By process number.
        shared: The most of the object store that the workers held together.
    """

    driver: Peaks = field(default_factory=Peaks)
    workers: defaultdict[int, Peaks] = field(default_factory=lambda: defaultdict(Peaks))
    shared: float = 0.0


def watch(words: Sequence[str], folder: Path) -> Seen:
    """Run a study and look at its processes until it ends.

    Raises:
        RuntimeError: It failed.
    """
    seen = Seen()
    command = [*PROGRAM, "run", *words, "--out", str(folder), "--quiet"]
    environment = psutil.Process().environ() | OURS
    with (folder / "said").open("w") as said:
        # S603: our own commands
        running = subprocess.Popen(command, env=environment, stdout=said, stderr=said)  # noqa: S603
        driver = psutil.Process(running.pid)
        while running.poll() is None:
            look(driver, seen)
            time.sleep(LOOK_SECONDS)
    if running.returncode:
        raise RuntimeError(f"{words} failed: {(folder / 'said').read_text()[-2000:]}")
    return seen


def look(driver: psutil.Process, seen: Seen) -> None:
    """Look once at all processes; those that have just ended are left out."""
    shared = 0.0
    try:
        seen.driver.see(driver)
        children = driver.children(recursive=True)
    except psutil.Error:
        return
    for process in children:
        try:
            if " ".join(process.cmdline()).startswith(WORKER):
                shared += seen.workers[process.pid].see(process)
        except psutil.Error:
            continue
    seen.shared = max(seen.shared, shared)


def rows(name: str, seen: Seen) -> list[list[object]]:
    """The driver, and the largest worker."""
    largest = max(seen.workers.values(), key=lambda peaks: peaks.proportional)
    who = {"driver": seen.driver, f"largest of {len(seen.workers)} workers": largest}
    return [
        [
            f"`{name}`",
            part,
            *(f"{value:,.0f} MB" for value in (peaks.resident, peaks.own, peaks.proportional)),
            f"{peaks.store:,.0f} MB",
        ]
        for part, peaks in who.items()
    ]


def main() -> None:
    """Watch each study and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--studies", nargs="+", choices=[*STUDIES], default=[*STUDIES])
    given: Any = parser.parse_args()
    found: dict[str, Seen] = {}
    for name in given.studies:
        with tempfile.TemporaryDirectory() as home:
            found[name] = watch(STUDIES[name], Path(home))
        print(name, found[name], file=sys.stderr)
    publish("memory", "Memory of driver and workers", text(found), given)


def text(found: dict[str, Seen]) -> str:
    """The section."""
    lines = [row for name, seen in found.items() for row in rows(name, seen)]
    headings = ["study", "process", "resident (RSS)", "its own, without the store (USS)"]
    headings += ["in proportion (PSS)", "of it resident of the object store"]
    return f"""
The most that each process of a study ever held, seen every {LOOK_SECONDS:g} s, of which libraries
are the most: the demo (`examples/digits.toml`, 5 families), `ett_h1` with LSTM and TCN, and made-up
data of {MEGABYTES} MB, of which each trial reads a part that is spread over all of it. Workers map
the prepared data from Ray's object store, read-only; torch's tensors are views of these pages.

{table(headings, lines)}

{sharing(found["large"], found.get("ett_h1")) if "large" in found else ""}
"""


def sharing(seen: Seen, small: Seen | None) -> str:
    """Whether the workers hold the large data once, and not once each.

    Args:
        small: Of a study with little data: what workers have of their own does not grow with data.
    """
    workers = seen.workers.values()
    together = sum(peaks.store for peaks in workers)
    own = max(peaks.own for peaks in workers)
    grown = own - max(peaks.own for peaks in small.workers.values()) if small else 0.0
    said = (
        f"{len(workers)} workers have {together:,.0f} MB of the object store resident between them "
        f"and hold {seen.shared:,.0f} MB of it in proportion, one copy of {MEGABYTES} MB a "
        f"machine; of their own they have {grown:,.0f} MB more than on `ett_h1`"
    )
    once = 0.5 * MEGABYTES <= seen.shared <= 1.1 * MEGABYTES
    return judged(said, once and grown < 0.5 * MEGABYTES)


if __name__ == "__main__":
    main()
