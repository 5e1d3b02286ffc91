"""How long one waits: for the help, for a leaderboard, for the first training step of a run.

The first step is timed from the start of the process, ours against a bare `tune.Tuner` whose empty
trainable imports torch, turn about. All are fresh processes.

    python -m perf.start --repeats 5
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from perf.report import PROGRAM, arguments, judged, publish, run, spread, table

HELP, BOARD = "`seqtune --help`", "`seqtune leaderboard` of a small study"
BARE_STEP, OUR_STEP = "the first step of a bare `tune.Tuner`", "the first step of `seqtune run`"
HELP_SECONDS, BOARD_SECONDS, LATER = 0.5, 1.0, 3.0
RUN = "run --benchmark digits_rows --families gru --trials-per-family 1 --epochs 1 --quiet"
BARE = """
import sys, time
from pathlib import Path
from ray import tune

class Empty(tune.Trainable):
    def setup(self, config):
        import torch
        self.mark = Path(config["mark"])
    def step(self):
        self.mark.write_text(str(time.time()))
        return {"done": True}

tune.Tuner(
    tune.with_resources(Empty, {"cpu": 1}),
    param_space={"mark": sys.argv[1]},
    run_config=tune.RunConfig(storage_path=sys.argv[2], verbose=0),
).fit()
"""


def process(command: list[str], folder: Path) -> float:
    """Run a command to its end; the unix time of its start."""
    begin = time.time()
    run(command, folder)
    return begin


def bare_step(folder: Path) -> float:
    """Seconds until the first step of a bare Tuner."""
    mark = folder / "mark"
    begin = process([sys.executable, "-c", BARE, str(mark), str(folder / "tune")], folder)
    return float(mark.read_text()) - begin


def our_step(folder: Path) -> float:
    """Seconds until the first step of a run: the first report, less what its epoch took."""
    begin = process([*PROGRAM, *RUN.split(), "--out", str(folder)], folder)
    log = folder / "digits_rows" / "events.jsonl"
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    first = next(event for event in events if event["event"] == "reported")
    return float(first["time"] - first["seconds"] - begin)


def whole(*words: str) -> Callable[[Path], float]:
    """Seconds of a whole command."""

    def seconds(folder: Path) -> float:
        begin = process([*PROGRAM, *words], folder)
        return time.time() - begin

    return seconds


def ask(repeats: int) -> dict[str, list[float]]:
    """All questions, turn about; seconds."""
    with tempfile.TemporaryDirectory() as home:
        study = Path(home, "small")
        study.mkdir()
        our_step(study)  # and the files are read once
        questions = {
            HELP: whole("--help"),
            BOARD: whole("leaderboard", str(study)),
            BARE_STEP: bare_step,
            OUR_STEP: our_step,
        }
        times: dict[str, list[float]] = {name: [] for name in questions}
        for repeat in range(repeats):
            for number, (name, question) in enumerate(questions.items()):
                folder = Path(home, f"{repeat}-{number}")
                folder.mkdir()
                times[name].append(question(folder))
    return times


def main() -> None:
    """Measure and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.set_defaults(repeats=5)
    given: Any = parser.parse_args()
    publish("start", "How long one waits", text(ask(given.repeats)), given)


def text(times: dict[str, list[float]]) -> str:
    """The section."""
    wait = {name: median(seconds) for name, seconds in times.items()}
    later = [a - b for a, b in zip(times[OUR_STEP], times[BARE_STEP], strict=True)]
    met = median(later) <= LATER
    return f"""
Fresh processes, turn about, {len(later)} times. The first training step of a run of one GRU on
`digits_rows` is timed from the start of the process, against the first step of a bare `tune.Tuner`
with an empty trainable that imports torch.

{table(["one waits for", "seconds"], [[name, spread(each)] for name, each in times.items()])}

{judged(f"`--help` within {HELP_SECONDS} s", wait[HELP] <= HELP_SECONDS)}
{judged(f"the leaderboard within {BOARD_SECONDS} s", wait[BOARD] <= BOARD_SECONDS)}
{judged(f"the first step {spread(later)} later than the bare one (at most {LATER} s)", met)}
"""


if __name__ == "__main__":
    main()
