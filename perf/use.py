"""The share of worker time that a study trains and evaluates, from its first step to its last.

A whole study with ASHA on `digits_pixels`, whose leases are made about as long as one wishes by the
number of epochs at the first rung. Counted are the seconds that workers report of training and
validation (and, of finalists, of the test), against slots times the wall clock between the first
report's epoch and the last event.

    python -m perf.use                                  # some four minutes
    python -m perf.use --trials 6 --lease-seconds 2
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from perf.report import arguments, judged, publish, spread, table
from search.runner.runner import run_study
from search.study import Study

TARGET = 0.9


def study(trials: int, slots: int, first_rung_epochs: int) -> Study:
    """GRU of one size, so that leases are about equally long."""
    return Study.from_mapping(
        {
            "name": "use",
            "benchmark": "digits_pixels",
            "families": ["gru"],
            "budget": {"trials_per_family": trials, "epochs": 9 * first_rung_epochs},
            "search": {"sampler": "tpe", "first_rung_epochs": first_rung_epochs},
            "confirm": {"top_per_family": 0},
            "resources": {"max_concurrent": slots},
            "space": {"gru": {"hidden_size": 32, "num_layers": 1, "batch_size": 64}},
        }
    )


def events_of(asked: Study) -> list[dict[str, Any]]:
    """The log of the whole study."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "study")
        run_study(asked, folder)
        lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@dataclass(frozen=True, slots=True)
class Use:
    """What a study's log says of its workers' time.

    Attributes:
        leases: That trained.
        lease_seconds: Training and validation of a lease, on average.
        wall_seconds: From the first step to the last.
        idle_ms: Of a slot for each lease, in that time.
        share: Of the slots' time that trained or validated.
    """

    leases: int
    lease_seconds: float
    wall_seconds: float
    idle_ms: float
    share: float

    @classmethod
    def of(cls, events: list[dict[str, Any]], slots: int) -> "Use":
        """Read it from the log."""
        reports = [event for event in events if event["event"] == "reported"]
        trained = sum(event["seconds"] for event in reports)
        leases = sum(event["event"] == "leased" for event in events)
        wall = reports[-1]["time"] - reports[0]["time"] + reports[0]["seconds"]
        idle = (wall * slots - trained) / leases
        return cls(leases, trained / leases, wall, 1000 * idle, trained / (wall * slots))


def main() -> None:
    """Find the length of an epoch, then measure and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.set_defaults(repeats=1)
    parser.add_argument("--trials", type=int, default=45)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--lease-seconds", type=float, default=5.0)
    given: Any = parser.parse_args()
    tried = [e for e in events_of(study(4, given.slots, 1)) if e["event"] == "reported"]
    epoch_seconds = sum(event["seconds"] for event in tried) / len(tried)
    epochs = max(1, round(given.lease_seconds / epoch_seconds))
    found = [
        Use.of(events_of(study(given.trials, given.slots, epochs)), given.slots)
        for _ in range(given.repeats)
    ]
    publish("use", "The share of worker time that trains", text(found, given), given)


def text(found: list[Use], given: Any) -> str:
    """The section."""
    line = [
        given.trials,
        found[0].leases,
        spread([use.lease_seconds for use in found]),
        spread([use.wall_seconds for use in found], digits=1),
        spread([use.idle_ms for use in found], "ms", 0),
        spread([100 * use.share for use in found], "%", 1),
    ]
    share = median(use.share for use in found)
    headings = [
        "trials",
        "leases",
        "a lease trains",
        "first to last step",
        "idle per lease",
        "used",
    ]
    return f"""
A whole study with ASHA: GRUs of 32 units read `digits_pixels`, {given.slots} slots, the epochs
at the first rung chosen so that a lease trains about {given.lease_seconds:g} s, the later rungs
longer. Used is what workers report of training and validation, as a share of slots times the
time from the first step to the last; the rest is checkpoints, messages, decisions, the starts
of the other workers, and slots without a lease while the last ones end. The limit is 100 %.

{table(headings, [line])}

{judged(f"{share:.1%} used (at least {TARGET:.0%})", share >= TARGET)}
"""


if __name__ == "__main__":
    main()
