"""How often the verdict is right, over many simulated studies whose truth is known.

Families are stand-ins with known learning curves, noise between seeds and noise between test
examples; all else is the code of real studies (see `search/insight/calibration.py`).

    python -m perf.calibration --studies 2000
"""

import argparse
import os
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from search.insight.calibration import KINDS, Judged, Kind, Rates, judge

PARTS = 50
HEADINGS = (
    "kind",
    "studies",
    "any claim",
    "false claim",
    "leader named",
    "wrong winner",
    "in interval over seeds",
    "over examples too",
    "off share (trials)",
)


def judge_all(kind: Kind, seeds: Sequence[int]) -> list[Judged]:
    """One study after another."""
    return [judge(kind, seed) for seed in seeds]


def row(kind: Kind, rates: Rates) -> str:
    """A line of the table."""
    shares = (rates.claiming, rates.false, rates.named, rates.wrong)
    cells = [kind.name, str(rates.studies), *(f"{100 * share:.1f} %" for share in shares)]
    cells += [f"{100 * share:.1f} %" for share in (rates.over_seeds, rates.over_examples)]
    return f"| {' | '.join([*cells, f'{rates.share_error:.2f}'])} |"


def main() -> None:
    """Print the table, kind by kind."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=2000, help="of each kind")
    parser.add_argument(
        "--kinds", nargs="+", choices=list(KINDS), default=["equal", "leader", "lucky"]
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    parts = [range(start, options.studies, PARTS) for start in range(PARTS)]
    print(f"| {' | '.join(HEADINGS)} |")
    print(f"|{'|'.join(['---'] * len(HEADINGS))}|")
    start = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        for name in options.kinds:
            judged = pool.map(partial(judge_all, KINDS[name]), parts)
            together = [each for part in judged for each in part]
            print(row(KINDS[name], Rates.of(KINDS[name], together)), flush=True)
    wall, load = time.monotonic() - start, " ".join(f"{value:.1f}" for value in os.getloadavg())
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\n{wall:.0f} s in {options.processes} processes; load {load}")
    print(f"{usage.ru_utime + usage.ru_stime:.0f} processor seconds")


if __name__ == "__main__":
    main()
