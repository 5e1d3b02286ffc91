"""What a trial costs above its training.

Trials of one epoch that only sleep go the whole way: proposed, leased, carried by Ray Tune,
reported, written to a log on disk. Printed are milliseconds of a slot's time for each trial above
the sleep, from the end of the first trial to that of the last, over all and over the later half;
and the seconds until the first trial's end.

    python -m perf.overhead --trials 400 --seconds 0.05
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cluster.connect import connect
from search.motion.conductor import Conductor
from search.runner.interruption import catch_signals
from search.runner.leases import Crew, run_leases
from search.runner.message import Message
from search.runner.packages import ROOT
from search.store.store import Store
from search.study import Study
from search.trial import Lease, Outcome
from spaces import Float, Int, SearchSpace

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


def measure(trials: int, seconds: float, slots: int, sampler: str) -> dict[str, float]:
    """One study in the connected session; seconds until the first end, and ms above the sleep."""
    asked = study(trials, sampler)
    ends: list[float] = []

    def watch(append: Callable[[Any], None], event: dict[str, Any]) -> None:
        append(event)
        if event["event"] == "ended":
            ends.append(time.perf_counter())

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
                lambda _: Crew(partial(Sleeper, seconds), {}, slots=slots, cpus=1),
                checkpoint_path=store.checkpoint_path,
                aborted=print,
                interruption=interruption,
            )
    assert len(ends) == trials
    per_trial = (ends[-1] - ends[0]) / (trials - 1)
    half = len(ends) // 2
    late = (ends[-1] - ends[half]) / (len(ends) - half - 1)
    return {
        "start": ends[0] - begin,
        "above": (per_trial * slots - seconds) * 1000,
        "late": (late * slots - seconds) * 1000,
    }


def main() -> None:
    """Measure some times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=0.05, help="what a trial trains")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with connect(code=ROOT, cpus=given.slots):
        runs = [
            measure(given.trials, given.seconds, given.slots, given.sampler)
            for _ in range(given.repeats)
        ]
    print(f"{given.trials} trials of {given.seconds} s, {given.slots} slots, {given.sampler}:")
    for name, unit in (("start", "s"), ("above", "ms"), ("late", "ms")):
        values = sorted(run[name] for run in runs)
        print(f"  {name:6} {median(values):7.1f} {unit:2} ({values[0]:.1f} to {values[-1]:.1f})")


if __name__ == "__main__":
    main()
