"""What a trial costs the driver, and what it holds in memory, from 100 to 10,000 trials.

The driver of a real study without Ray and without training: conductor, sampler, scheduler, desk and
the log on disk, for five families with ASHA; the epochs of a lease are told at once, with values of
a learning curve made up. Each size is a process of its own.

    python -m perf.scale                               # 100, 1,000 and 10,000 trials
    python -m perf.scale --sizes 100 1000
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from perf.report import arguments, judged, publish, run, spread, table
from search.motion.conductor import Conductor
from search.problem import Problem
from search.runner.desk import Desk
from search.runner.message import Message
from search.store.store import Store
from search.study import Study
from search.trial import Lease, Outcome
from spaces import Config

FAMILIES = ["rnn", "lstm", "gru", "tcn", "transformer"]
EPOCHS, SLOTS = 27, 32
Propose = Callable[[int], tuple[Config | None, int]]
MOST_MEMORY_MB, FLAT = 1000, 1.5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one size took.

    Attributes:
        milliseconds: Processor time of the driver per trial.
        suggesting: Of that, what the samplers take.
        first: The same over the first tenth of the trials.
        last: Over the last tenth.
        memory_mb: The most that the process held, torch and the data among it.
        grown_mb: Of that, since before the first trial.
        log_mb: The log.
        leases: Handed out.
    """

    milliseconds: float
    suggesting: float
    first: float
    last: float
    memory_mb: float
    grown_mb: float
    log_mb: float
    leases: int


def study(trials: int, sampler: str) -> Study:
    """What is asked for."""
    return Study.from_mapping(
        {
            "name": "scale",
            "benchmark": "digits_rows",
            "families": FAMILIES,
            "budget": {"trials_per_family": trials // len(FAMILIES), "epochs": EPOCHS},
            "search": {"sampler": sampler, "scheduler": "asha"},
            "confirm": {"top_per_family": 0},
        }
    )


def message(lease: Lease) -> Message:
    """All epochs of a lease: a curve that falls to an end of its own."""
    end = Random(lease.trial.number).random()
    told = [
        {
            "epoch": epoch,
            "valid": {"accuracy": 1 - end - 1 / (2 + epoch), "log_loss": end + 1 / epoch},
            "train_loss": end,
            "seconds": 1.0,
            "parameters": 1000,
            "notes": [],
        }
        for epoch in range(lease.from_epoch + 1, lease.to_epoch + 1)
    ]
    return Message(told, Outcome.reached(lease.to_epoch))


def drive(trials: int, sampler: str, folder: Path) -> Cost:
    """One study from its first lease to its last, `SLOTS` leases in flight."""
    asked = study(trials, sampler)
    problem = Problem.of(asked)
    before = peak_mb()
    ends: list[float] = []
    with Store.create(folder / "study", asked) as store:
        conductor = Conductor(
            spaces=problem.spaces,
            maximize=problem.metric.maximize,
            metric=problem.metric.name,
            study=asked,
            record=store.append,
        )
        suggesting = stopwatch(conductor)
        desk = Desk(conductor)
        flying: deque[tuple[str, Lease]] = deque()
        begin, begun = time.process_time(), 0
        while not desk.finished:
            lease = desk.hand_out(str(desk.handed_out)) if len(flying) < SLOTS else None
            if lease is not None:
                flying.append((str(desk.handed_out - 1), lease))
            elif flying:
                ticket, over = flying.popleft()
                desk.hear(ticket, Message.from_text(message(over).to_text()), last=True)
            if len(conductor.state.trials) > begun:
                begun = len(conductor.state.trials)
                ends.append(time.process_time() - begin)
        total = time.process_time() - begin
    assert begun == trials
    tenth = trials // 10
    return Cost(
        milliseconds=1000 * total / trials,
        suggesting=1000 * sum(suggesting) / trials,
        first=1000 * ends[tenth - 1] / tenth,
        last=1000 * (total - ends[-tenth - 1]) / tenth,
        memory_mb=peak_mb(),
        grown_mb=peak_mb() - before,
        log_mb=(folder / "study" / "events.jsonl").stat().st_size / 1e6,
        leases=desk.handed_out,
    )


def stopwatch(conductor: Conductor) -> list[float]:
    """The processor seconds of each suggestion, as they come."""
    spent: list[float] = []

    def timed(propose: Propose) -> Propose:
        def call(number: int) -> tuple[Config | None, int]:
            begin = time.process_time()
            proposed = propose(number)
            spent.append(time.process_time() - begin)
            return proposed

        return call

    for family in conductor.state.families.values():
        setattr(family, "propose", timed(family.propose))  # noqa: B010 - mypy knows it for a method
    return spent


def peak_mb() -> float:
    """The most that this process has held so far."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / 1e6 if sys.platform == "darwin" else held / 1e3


def main() -> None:
    """Measure each size and renew the section; or be one of the processes."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.set_defaults(repeats=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.side:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps(asdict(drive(given.side, given.sampler, Path(home)))))
        return
    publish("scale", "From 100 to 10,000 trials", text(given), given)


def text(given: Any) -> str:
    """The section."""
    costs: dict[int, list[Cost]] = {}
    for size in given.sizes:
        words = ["-m", "perf.scale", "--side", str(size), "--sampler", given.sampler]
        for _ in range(given.repeats):
            said = run([sys.executable, *words], Path.cwd()).stdout.splitlines()[-1]
            costs.setdefault(size, []).append(Cost(**json.loads(said)))
            print(f"{size} trials: {costs[size][-1]}", file=sys.stderr)
    lines = [
        [
            f"{size:,}",
            f"{fmean(cost.leases for cost in runs):,.0f}",
            spread([cost.milliseconds for cost in runs], "ms", 1),
            spread([cost.suggesting for cost in runs], "ms", 1),
            spread([cost.first for cost in runs], "ms", 1),
            spread([cost.last for cost in runs], "ms", 1),
            spread([cost.memory_mb for cost in runs], "MB", 0),
            spread([cost.grown_mb for cost in runs], "MB", 0),
            spread([cost.log_mb for cost in runs], "MB", 1),
        ]
        for size, runs in costs.items()
    ]
    headings = ["trials", "leases", "per trial", "of it suggesting", "first tenth", "last tenth"]
    headings += ["memory", "grown", "log"]
    sizes = sorted(costs)
    small, large = (min(cost.last for cost in costs[size]) for size in (*sizes, *sizes)[-2:])
    memory = max(cost.memory_mb for cost in costs[max(costs)])
    flat = (
        f"a trial of the last tenth of {sizes[-1]:,} costs {large / small:.2f} times one of the "
        f"last tenth of {sizes[-2 % len(sizes)]:,}"
    )
    held = f"the driver holds {memory:,.0f} MB (under {MOST_MEMORY_MB:,})"
    return f"""
The driver of a study of {len(FAMILIES)} families with ASHA and the sampler `{given.sampler}`,
without Ray and without training: conductor, scheduler, desk and the log on disk; {SLOTS} leases
in flight, up to {EPOCHS} epochs a trial. Processor time. TPE draws at random at first and looks
at some 100 trials of a family from then on, however many there are. Memory is the most that the
process ever held, with torch and the data set among it; "grown" is what came during the study.

{table(headings, lines)}

{judged(f"{flat} (at most {FLAT:g})", large <= FLAT * small)}
{judged(held, memory < MOST_MEMORY_MB)}
"""


if __name__ == "__main__":
    main()
