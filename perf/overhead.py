"""What a trial costs above its training.

Trials of one epoch that only sleep go the whole way: proposed, leased, carried by Ray Tune,
reported, written to a log on disk. Told are milliseconds of a slot's time for each trial above
the sleep, from the end of the first trial to that of the last, over all and over the later half;
the seconds until the first trial's end; and a profile of the driver.

    python -m perf.overhead                             # 400 and 2,000 trials
    python -m perf.overhead --trials 40 --repeats 1
"""

import argparse
import cProfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pstats import Stats
from statistics import median
from typing import Any

import numpy as np

from cluster.connect import connect
from perf.report import arguments, judged, publish, spread, table
from search.motion.conductor import Conductor
from search.runner.interruption import catch_signals
from search.runner.leases import Crew, run_leases
from search.runner.message import Message
from search.runner.packages import ROOT
from search.store.store import Store
from search.study import Study
from search.trial import Lease, Outcome
from spaces import Float, Int, SearchSpace

MOST_MS = 60
SPACE = SearchSpace(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "dropout": Float(0.0, 0.5),
        "hidden_size": Int(16, 512, log=True),
        "num_layers": Int(1, 4),
    }
)


class Sleeper:
    """A worker whose training is to wait."""

    def __init__(self, seconds: float, arrays: dict[str, np.ndarray]) -> None:
        self.seconds = seconds

    def take(self, lease: Lease, checkpoint: Path) -> None:
        """Nothing is ever gone on with: each trial has one lease."""
        self.lease = lease

    def work(self) -> Message:
        """Wait, and say that an epoch is over."""
        time.sleep(self.seconds)
        loss = abs(self.lease.trial.config["dropout"] - 0.2)
        measured = {"epoch": 1, "valid": {"loss": loss}, "train_loss": loss, "parameters": 1}
        return Message([measured | {"seconds": self.seconds}], Outcome.reached(1))

    def put_down(self) -> None:
        """Nothing is kept."""


def study(trials: int, sampler: str) -> Study:
    """Two families that share the trials."""
    return Study.from_mapping(
        {
            "name": "overhead",
            "benchmark": "none",
            "families": ["gru", "lstm"],
            "budget": {"trials_per_family": trials // 2, "epochs": 1},
            "search": {"sampler": sampler},
            "confirm": {"top_per_family": 0},
        }
    )


def measure(
    trials: int,
    seconds: float,
    slots: int,
    sampler: str,
    profiler: cProfile.Profile | None = None,
) -> dict[str, float]:
    """One study in the connected session; seconds until the first end, and ms above the sleep.

    Args:
        profiler: Watches the driver from the end of the first trial on.
    """
    asked = study(trials, sampler)
    ends: list[float] = []

    def watch(append: Callable[[Any], None], event: dict[str, Any]) -> None:
        append(event)
        if event["event"] == "ended":
            ends.append(time.perf_counter())
            if profiler is not None and len(ends) == 1:
                profiler.enable()

    crew = Crew(partial(Sleeper, seconds), {}, slots=slots, cpus=1, started_workers=True)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder, "s"), asked) as store:
        conductor = Conductor(
            spaces=dict.fromkeys(asked.families, SPACE),
            maximize=False,
            metric="loss",
            study=asked,
            record=partial(watch, store.append),
        )
        with catch_signals() as interruption:
            run_leases(
                conductor,
                lambda _: crew,
                checkpoint_path=store.checkpoint_path,
                aborted=print,
                interruption=interruption,
            )
    if profiler is not None:
        profiler.disable()
    assert len(ends) == trials
    per_trial = (ends[-1] - ends[0]) / (trials - 1)
    half = len(ends) // 2
    late = (ends[-1] - ends[half]) / (len(ends) - half - 1)
    return {
        "start": ends[0] - begin,
        "all": ends[-1] - ends[0],
        "above": (per_trial * slots - seconds) * 1000,
        "late": (late * slots - seconds) * 1000,
    }


def profile(trials: int, seconds: float, slots: int, sampler: str) -> list[tuple[str, float]]:
    """What the driver does in such a study; milliseconds a trial, waiting among it."""
    watch = cProfile.Profile()
    run = measure(trials, seconds, slots, sampler, watch)
    spent: defaultdict[str, float] = defaultdict(float)
    for (file, _, function), row in Stats(watch).stats.items():  # type: ignore[attr-defined]
        spent[f"{Path(file).name}:{function}"] += row[3]  # with what it calls
    ours = sum(spent[f"desk.py:{name}"] for name in ("hand_out", "hear", "attend"))
    parts = {
        "waiting for the workers (`ray.wait`)": spent["worker.py:wait"],
        "suggesting (the samplers)": spent["sampler.py:propose"],
        "deciding, writing the log (conductor, desk, store)": ours - spent["sampler.py:propose"],
    }
    parts["the rest of Ray Tune's loop"] = max(0.0, run["all"] - sum(parts.values()))
    return [(name, 1000 * each / trials) for name, each in parts.items()]


def main() -> None:
    """Measure each size some times and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[400, 2000])
    parser.add_argument("--seconds", type=float, default=0.05, help="what a trial trains")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--sampler", default="tpe")
    given: Any = parser.parse_args()
    runs: dict[int, list[dict[str, float]]] = {}
    with connect(code=ROOT, cpus=given.slots):
        asked = (given.seconds, given.slots, given.sampler)
        for trials in given.trials:
            repeats = given.repeats if trials <= 400 else max(1, given.repeats // 2)
            runs[trials] = [measure(trials, *asked) for _ in range(repeats)]
        spent = profile(min(given.trials), *asked)
    publish("overhead", "What a trial costs above its training", text(runs, spent, given), given)


def text(
    runs: dict[int, list[dict[str, float]]], spent: list[tuple[str, float]], given: Any
) -> str:
    """The section."""
    headings = ["trials", "times", "first end after", "above the training, a trial", "later half"]
    lines = [
        [
            f"{trials:,}",
            len(found),
            spread([run["start"] for run in found], digits=1),
            spread([run["above"] for run in found], "ms", 1),
            spread([run["late"] for run in found], "ms", 1),
        ]
        for trials, found in runs.items()
    ]
    worst = max(median(run["above"] for run in found) for found in runs.values())
    said = f"at most {worst:.1f} ms a trial above its training (promised: {MOST_MS} ms)"
    return f"""
Trials of one epoch that only wait {1000 * given.seconds:g} ms go the whole way: proposed by
`{given.sampler}`, leased, carried by Ray Tune in reused workers, reported, written to the log. A
slot's time for each trial, less the wait, with {given.slots} slots, from the end of the first
trial to that of the last.

{table(headings, lines)}

{judged(said, worst <= MOST_MS)}

Where the driver's time goes, by cProfile, which slows it, in one more run of {min(runs)} trials:

{table(["the driver", "a trial"], [[name, f"{each:.1f} ms"] for name, each in spent])}
"""


if __name__ == "__main__":
    main()
