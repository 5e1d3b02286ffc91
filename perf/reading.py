"""How long a leaderboard takes to read: one study of 10,000 trials, and 200 studies.

Made-up logs, read in fresh processes: first without the derived index, then with it. Times are of
the processor, and of the whole command.

    python -m perf.reading
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from perf.report import PROGRAM, arguments, judged, publish, spread, table
from search.store.log import LOG
from search.store.store import Store
from search.study import Study

LARGE, MANY = "one study of 10,000 trials, 200,000 reports", "200 studies of 40 trials"
MOST_SECONDS = 1.0
FAMILIES = ("rnn", "lstm", "gru", "tcn", "transformer")
SEEDS = 5


def study_events(trials: int, reports: int, seed: int) -> Iterator[dict[str, Any]]:
    """The log of a whole study: so many trials of so many reports, and finalists on five seeds."""
    random = Random(seed)
    yield {
        "event": "opened",
        "metric": "accuracy",
        "maximize": True,
        "families": list(FAMILIES),
    }
    best: dict[str, int] = {}
    for trial in range(trials):
        family = FAMILIES[trial % len(FAMILIES)]
        best.setdefault(family, trial)
        yield from trial_events(trial, family, reports, random, None, 0)
    for number, (family, seed_number) in enumerate((f, s) for f in FAMILIES for s in range(SEEDS)):
        yield from trial_events(trials + number, family, reports, random, best[family], seed_number)
    yield {"event": "closed"}


def trial_events(
    trial: int, family: str, reports: int, random: Random, finalist_of: int | None, seed: int
) -> Iterator[dict[str, Any]]:
    """One trial from its proposal to its end."""
    settings = {"name": family, "hidden_size": random.randrange(16, 512), "num_layers": 2}
    optimizer = {"name": "adamw", "learning_rate": random.random(), "weight_decay": 0.01}
    config = {"model": settings, "head": {}, "training": {"optimizer": optimizer}}
    at = {"trial": trial, "attempt": 1}
    yield {"event": "proposed", **at, "epoch": 0, "family": family, "config": config} | {
        "proposal": trial,
        "seed": seed,
        "finalist_of": finalist_of,
    }
    yield {"event": "leased", **at, "epoch": 0, "lease": trial, "to_epoch": reports}
    for epoch in range(1, reports + 1):
        value = random.random()
        yield {"event": "reported", **at, "epoch": epoch, "value": value, "train_loss": 1.0} | {
            "valid": {"accuracy": value, "log_loss": 1 - value},
            "seconds": 0.5,
            "parameters": 1000,
        }
    if finalist_of is not None:
        test = {"accuracy": random.random(), "log_loss": 0.5}
        yield {"event": "tested", **at, "epoch": 1, "test": test, "value": test["accuracy"]}
    yield {"event": "ended", **at, "epoch": reports, "state": "complete"} | {
        "cause": "",
        "traceback": "",
    }


def make(folder: Path, name: str, trials: int, reports: int, seed: int) -> None:
    """A study's folder with such a log."""
    asked = {"name": name, "benchmark": "digits_rows", "families": list(FAMILIES)}
    with Store.create(folder / name, Study.from_mapping({**asked, "budget": {"seconds": 9}})):
        pass
    with (folder / name / LOG).open("a", encoding="utf-8") as log:
        for place, event in enumerate(study_events(trials, reports, seed)):
            log.write(json.dumps({**event, "time": float(place)}) + "\n")


def read(folder: Path) -> tuple[float, float]:
    """Processor and wall-clock seconds of `seqtune leaderboard`."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # S603: our own command
    subprocess.run(  # noqa: S603
        [*PROGRAM, "leaderboard", str(folder), "--format", "json"],
        env=dict(os.environ),
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, time.perf_counter() - begin


def main() -> None:
    """Make the logs, read them, renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    given: Any = parser.parse_args()
    lines, fastest = [], 0.0
    with tempfile.TemporaryDirectory() as home:
        large, many = Path(home, "large"), Path(home, "many")
        make(large, "one", 10_000, 20, 0)
        for number in range(200):
            make(many, f"study{number:03}", 40, 20, number)
        for words, folder in ((LARGE, large), (MANY, many)):
            first = read(folder)
            again = [read(folder) for _ in range(given.repeats)]
            processor, whole = ([times[kind] for times in again] for kind in (0, 1))
            lines.append([words, f"{first[1]:.2f} s", spread(processor), spread(whole)])
            fastest = fastest or median(processor)
    said = f"10,000 trials in {fastest:.2f} s of the processor (promised: under {MOST_SECONDS:g} s)"
    body = f"""
`seqtune leaderboard DIR` in fresh processes on made-up logs: the first time it reads all of the log
and writes an index, later it reads the index and the log's tail.

{table(["results", "first time", "later, processor", "later, whole command"], lines)}

{judged(said, fastest < MOST_SECONDS)}
"""
    publish("reading", "Leaderboards of many trials", body, given)


if __name__ == "__main__":
    main()
