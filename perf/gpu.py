"""Trials per hour on one GPU, by trials at a time, beside what `gpus_per_trial = "auto"` picks.

An LSTM and a TCN of 128 units on `jsb_chorales`: the same trials, drawn at random with everything
that decides speed held, at 1, 2, 4, 8 and 16 at a time, and once with `auto`. Needs an NVIDIA GPU
that torch sees, and as many processor cores as trials at a time; without a GPU nothing is measured.

    python -m perf.gpu                                  # on one GPU
    python -m perf.gpu --at-once 1 4 --epochs 3
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perf.report import arguments, judged, publish, table
from search.runner.runner import run_study
from search.store.log import read_events
from search.study import Study

HELD = {
    "lstm": {"hidden_size": 128, "num_layers": 1, "layer_norm": False},
    "tcn": {"hidden_size": 128, "num_layers": 4, "kernel_size": 3},
}
TRIALS_A_SLOT = 2
NEAR_BEST = 0.8
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """One study.

    Attributes:
        at_once: Trials at a time.
        per_hour: Trials, in the time from the first lease that trained to the last trial's end.
        losses: By trial.
        reason: Why so many at a time, where the study says so.
    """

    at_once: int
    per_hour: float
    losses: dict[int, float]
    reason: str


def study(family: str, at_once: int | None, trials: int, epochs: int) -> Study:
    """What is asked for; `at_once` None is `auto`."""
    share: float | str = "auto" if at_once is None else 1 / at_once
    return Study.from_mapping(
        {
            "name": "gpu",
            "benchmark": "jsb_chorales",
            "families": [family],
            "budget": {"trials_per_family": trials, "epochs": epochs},
            "search": {"sampler": "random", "scheduler": "none"},
            "confirm": {"top_per_family": 0},
            "resources": {"gpus_per_trial": share},
            "space": {family: HELD[family], "training": {"batch_size": 8, "optimizer": ["adam"]}},
        }
    )


def pace(asked: Study) -> Pace:
    """Run a study and read its log; the start of the workers is left out."""
    with tempfile.TemporaryDirectory() as home:
        run_study(asked, Path(home, "study"))
        events = list(read_events(Path(home, "study")))
    reports = [event for event in events if event["event"] == "reported"]
    first = min(event["time"] - event["seconds"] for event in reports)
    ended = max(event["time"] for event in events if event["event"] == "ended")
    packed = [event for event in events if event["event"] == "packed"]
    trials = {event["trial"] for event in reports}
    return Pace(
        at_once=packed[-1]["slots"] if packed else 1,
        per_hour=3600 * len(trials) / (ended - first),
        losses={event["trial"]: event["value"] for event in reports},
        reason=packed[-1]["reason"] if packed else "",
    )


def compare(family: str, given: Any) -> tuple[list[list[object]], str]:
    """The rows of a family, and how near `auto` comes to the best that was tried."""
    tried = [count for count in given.at_once if count <= (os.cpu_count() or 1)]
    trials = TRIALS_A_SLOT * max(tried)
    paces: dict[str, Pace] = {}
    for count in [*tried, None]:
        name = "auto" if count is None else str(count)
        paces[name] = pace(study(family, count, trials, given.epochs))
        print(family, name, f"{paces[name].per_hour:.0f} per hour", file=sys.stderr)
    alone = paces[str(tried[0])]
    lines: list[list[object]] = [
        [
            f"`{family}`",
            f"{name} ({each.at_once})" if name == "auto" else name,
            f"{each.per_hour:,.0f}",
            f"{each.per_hour / alone.per_hour:.2f}",
            f"{100 * apart(each.losses, alone.losses):.2f} %",
        ]
        for name, each in paces.items()
    ]
    best = max((each for each in paces.values()), key=lambda each: each.per_hour)
    auto = paces["auto"]
    said = (
        f"`{family}`: `auto` takes {auto.at_once} at a time ({auto.reason}) and comes to "
        f"{auto.per_hour / best.per_hour:.0%} of the best found, {best.at_once} at a time"
    )
    return lines, judged(said, auto.per_hour >= NEAR_BEST * best.per_hour)


def apart(losses: dict[int, float], others: dict[int, float]) -> float:
    """How far apart the same trials end, at most, relative to their losses.

    Raises:
        RuntimeError: Farther than the order of additions on a GPU explains.
    """
    farthest = max(abs(losses[trial] / others[trial] - 1) for trial in losses)
    if farthest > TOLERANCE:
        raise RuntimeError(f"the same trials must end alike however many run, got {farthest:.1%}")
    return farthest


def main() -> None:
    """Measure both families and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--families", nargs="+", choices=[*HELD], default=[*HELD])
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--epochs", type=int, default=4)
    given: Any = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            "perf.gpu needs an NVIDIA GPU that torch sees (a build of torch with CUDA), the data "
            "of jsb_chorales (`seqtune benchmarks fetch jsb_chorales`), and a core for each of "
            f"{max(given.at_once)} trials at a time; nothing was measured"
        )
        return
    lines: list[list[object]] = []
    said = []
    for family in given.families:
        rows, sentence = compare(family, given)
        lines += rows
        said.append(sentence)
    headings = ["family", "at a time", "trials per hour", "times one at a time", "losses apart"]
    body = f"""
The same trials on one GPU: models of 128 units on `jsb_chorales`, {given.epochs} epochs each, so
many at a time, each a process with its share of the GPU. Counted from the first step to the last
trial's end, without the start of the workers. The same trials must end alike.

{table(headings, lines)}

{chr(10).join(said)}
"""
    publish("gpu", "Trials per hour on one GPU", body, given)


if __name__ == "__main__":
    main()
