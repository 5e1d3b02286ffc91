"""Whole searches with arrays of trials and without: as good finalists, in less time.

Both sides have the same budget, ASHA, and the same seed of the study, turn about; what differs is
`array_size`, "auto" or 1. Where "auto" decides against arrays, the time it takes to decide is what
is seen. The log of either side must hold events of the same kinds with the same keys, but for
the number of the array and the event that tells how large arrays are.

    python -m perf.array_searches                       # some twenty minutes on two cores
    python -m perf.array_searches --repeats 2 --searches digits
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from scipy import stats

from perf.report import PROGRAM, arguments, judged, publish, ratio, run, spread, table
from search.store.log import read_events

TRIALS, EPOCHS, SEEDS = 32, 9, 5
SIZES = {"arrays": '"auto"', "alone": "1"}
SLOWER = 1.1
"""As many times as long a search may take where arrays do not pay."""
SEARCHES = {
    "digits": ("digits_rows", "gru"),
    "music": ("jsb_chorales", "gru"),
    "music_lstm": ("jsb_chorales", "lstm"),
}


def study_text(benchmark: str, family: str, seed: int, size: str) -> str:
    """A small search over narrow models."""
    return f"""
name = "searched"
benchmark = "{benchmark}"
families = ["{family}"]
seed = {seed}
budget = {{ trials_per_family = {TRIALS}, epochs = {EPOCHS} }}
search = {{ sampler = "tpe", scheduler = "asha", first_rung_epochs = 1 }}
confirm = {{ top_per_family = 1, seeds = {SEEDS} }}
resources = {{ max_concurrent = 2, gpus_per_trial = 0, array_size = {size} }}
[space.{family}]
hidden_size = {{ low = 16, high = 48 }}
num_layers = 1
[space.training]
batch_size = 16
"""


@dataclass(frozen=True, slots=True)
class Searched:
    """What came of one search.

    Attributes:
        seconds: From its first event to its last.
        tested: The test metric of its finalist under each seed.
        members: Trials of its largest array; 1 without arrays.
        keys: Kinds of events, with the names of what they hold.
    """

    seconds: float
    tested: list[float]
    members: int
    keys: set[tuple[str, str]]

    @classmethod
    def of(cls, events: Sequence[dict[str, Any]]) -> "Searched":
        """Read it from the log."""
        arrays: dict[int, int] = {}
        for event in events:
            if "array" in event:
                arrays[event["array"]] = arrays.get(event["array"], 0) + 1
        return cls(
            events[-1]["time"] - events[0]["time"],
            [event["value"] for event in events if event["event"] == "tested"],
            max(arrays.values(), default=1),
            {
                (event["event"], key)
                for event in events
                if event["event"] != "arrays"
                for key in event
                if key != "array"
            },
        )


def search(text: str) -> Searched:
    """Run it by the command line."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "study.toml").write_text(text, encoding="utf-8")
        run([*PROGRAM, "run", "study.toml", "--out", home, "--quiet"], folder)
        return Searched.of(list(read_events(folder / "searched")))


def compare(benchmark: str, family: str, repeats: int) -> dict[str, list[Searched]]:
    """Both sides under so many seeds of the study, turn about.

    Raises:
        RuntimeError: The logs differ in what they hold.
    """
    found: dict[str, list[Searched]] = {side: [] for side in SIZES}
    for seed in range(repeats):
        for side in list(SIZES)[:: 1 - seed % 2 * 2]:
            found[side].append(each := search(study_text(benchmark, family, seed, SIZES[side])))
            told = f"{benchmark}, {family}, seed {seed}, {side}: {each.seconds:.0f} s"
            print(f"{told}, test {fmean(each.tested):.4f}", file=sys.stderr, flush=True)
        ours, alone = (found[side][-1].keys for side in SIZES)
        if ours != alone:
            raise RuntimeError(f"the logs must hold the same, and differ in {ours ^ alone}")
    return found


def difference(found: dict[str, list[Searched]]) -> tuple[float, float]:
    """Of the finalists' mean test metrics, with half the width of its 95 % interval."""
    pairs = zip(found["arrays"], found["alone"], strict=True)
    differences = [fmean(one.tested) - fmean(other.tested) for one, other in pairs]
    count = len(differences)
    if count < 2:
        return differences[0], float("inf")
    quantile = float(stats.t.ppf(0.975, count - 1))
    return fmean(differences), quantile * stdev(differences) / count**0.5


def row(name: str, found: dict[str, list[Searched]]) -> list[object]:
    """A line of the table."""
    benchmark, family = SEARCHES[name]
    means = [spread([fmean(s.tested) for s in found[side]], "", 4) for side in SIZES]
    seconds = [spread([s.seconds for s in found[side]], digits=0) for side in SIZES]
    within = median(stdev(s.tested) for side in SIZES for s in found[side])
    apart, half = difference(found)
    members = max(s.members for s in found["arrays"])
    return [
        f"`{benchmark}`",
        f"`{family}`",
        members,
        *means,
        f"{apart:+.4f} ± {half:.4f}",
        f"{within:.4f}",
        *seconds,
    ]


def promises(name: str, found: dict[str, list[Searched]]) -> list[str]:
    """Of quality, and of time where arrays do not pay."""
    said = f"`{SEARCHES[name][0]}`, `{SEARCHES[name][1]}`"
    apart, half = difference(found)
    times = ratio(*([s.seconds for s in found[side]] for side in SIZES))
    lines = [judged(f"{said}: finalists of the same quality within noise", abs(apart) <= half)]
    if max(s.members for s in found["arrays"]) == 1:
        what = f"{said}, trials by themselves: {times:.2f} times as long; at most {SLOWER:g}"
        return [*lines, judged(what, times <= SLOWER)]
    return [*lines, f"- {said}: {1 / times:.2f} times as fast, start and end of the study included"]


def main() -> None:
    """Search and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.set_defaults(repeats=5)
    parser.add_argument("--searches", nargs="+", choices=[*SEARCHES], default=[*SEARCHES])
    given: Any = parser.parse_args()
    found = {name: compare(*SEARCHES[name], given.repeats) for name in given.searches}
    headings = ["benchmark", "family", "members", "test metric, arrays", "alone", "difference"]
    headings += ["between seeds", "seconds, arrays", "alone"]
    body = f"""
{TRIALS} trials of at most {EPOCHS} epochs under ASHA and TPE, then the best with {SEEDS} seeds, by
`seqtune run` with `array_size = "auto"` and with 1, turn about; one study for each of
{given.repeats} seeds. Test metrics are those of the finalist, averaged over its seeds; the
difference is that of the two sides of one seed, averaged over studies, with its 95 % interval
(Student's t); between seeds is the deviation of one finalist's tests. Both logs held the same, but
for the array's number.

{table(headings, [row(name, each) for name, each in found.items()])}

{chr(10).join(line for name, each in found.items() for line in promises(name, each))}
"""
    publish("array_searches", "Whole searches with arrays", body, given)


if __name__ == "__main__":
    main()
