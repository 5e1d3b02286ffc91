"""How long one waits: for the help, for a leaderboard, for the first training step of a run.

The first step is timed from the start of the process, ours against a bare `tune.Tuner` whose empty
trainable imports torch, turn about. All are fresh processes.

    python -m perf.start --repeats 5
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

PROGRAM = [sys.executable, "-P", "-c", "from search.cli import main; main()"]
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
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    # S603: our own commands
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)  # noqa: S603
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


def main() -> None:
    """Measure some times, turn about, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        study = Path(home, "small")
        study.mkdir()
        our_step(study)  # and the files are read once
        questions = {
            "seqtune --help": whole("--help"),
            "leaderboard of a small study": whole("leaderboard", str(study)),
            "first step, bare Tuner": bare_step,
            "first step, seqtune run": our_step,
        }
        times: dict[str, list[float]] = {name: [] for name in questions}
        for repeat in range(given.repeats):
            for number, (name, question) in enumerate(questions.items()):
                folder = Path(home, f"{repeat}-{number}")
                folder.mkdir()
                times[name].append(question(folder))
    for name, values in times.items():
        print(f"{name:30} {median(values):6.2f} s ({min(values):.2f} to {max(values):.2f})")
    behind = median(times["first step, seqtune run"]) - median(times["first step, bare Tuner"])
    print(f"seqtune's first step comes {behind:.2f} s later than that of the bare Tuner")


if __name__ == "__main__":
    main()
