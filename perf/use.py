"""The share of worker time that a study trains and evaluates, from its first step to its last.

A whole study with ASHA on `digits_pixels`, whose leases are made about as long as one wishes by the
number of epochs at the first rung. Counted are the seconds that workers report of training and
validation (and, of finalists, of the test), against slots times the wall clock between the first
report's epoch and the last event.

    python -m perf.use --lease-seconds 5
"""

import argparse
import json
import tempfile
from pathlib import Path

from search.runner.runner import run_study
from search.study import Study


def study(trials: int, slots: int, first_rung_epochs: int) -> Study:
    """GRU and TCN of a fixed size."""
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


def events_of(asked: Study) -> list[dict[str, object]]:
    """The log of the whole study."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "study")
        run_study(asked, folder)
        lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def main() -> None:
    """Find the length of an epoch, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--lease-seconds", type=float, default=5.0)
    given = parser.parse_args()
    trial = [e for e in events_of(study(4, given.slots, 1)) if e["event"] == "reported"]
    epoch_seconds = sum(float(str(event["seconds"])) for event in trial) / len(trial)
    epochs = max(1, round(given.lease_seconds / epoch_seconds))
    events = events_of(study(given.trials, given.slots, epochs))
    reports = [event for event in events if event["event"] == "reported"]
    trained = sum(float(str(event["seconds"])) for event in reports)
    times = [float(str(event["time"])) for event in reports]
    wall = times[-1] - times[0] + float(str(reports[0]["seconds"]))
    leases = sum(event["event"] == "leased" for event in events)
    print(f"{given.trials} trials, {leases} leases of {trained / leases:.2f} s on average,")
    print(f"{given.slots} slots for {wall:.1f} s: {trained / (wall * given.slots):.1%} of it used")


if __name__ == "__main__":
    main()
