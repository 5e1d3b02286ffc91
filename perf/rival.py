"""The same forecasting work by neuralforecast's `AutoLSTM` on its Ray backend, and by us.

ETTh1's oil temperature from its 96 hours before, 24 hours at once; every trial is 50 steps of 32
windows of an LSTM. Both search turn about, two trials at a time, each in processes of its own.

    python -m perf.rival                               # 12 trials three times, 60 trials once
    python -m perf.rival --trials 12 --repeats 1       # two minutes

neuralforecast lives in an environment of its own, which is made at the first run (about 2 GB, with
our own version of torch), or named by `--python`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import platformdirs
import torch

from perf import ett_windows as work
from perf.ett_windows import (
    BATCH,
    CLIP_NORM,
    LAYERS,
    RATES,
    SLOTS,
    STEPS,
    WIDTHS,
    run_ours,
    study_text,
)
from perf.report import (
    arguments,
    installed_version,
    judged,
    publish,
    ratio,
    run,
    spread,
    table,
)
from trainers.benchmarks import load_benchmark
from trainers.export.folder import load

RIVAL = "neuralforecast==3.3.*"
THEIR_HALF = Path(__file__).with_name("rival_neuralforecast.py")
TARGET = 5.0
MOST_AT = 60
"""Trials from which on the target holds; with fewer, starting Ray weighs most on both sides."""


@dataclass(frozen=True, slots=True)
class Search:
    """What came of one search.

    Attributes:
        seconds: From the start of its process until its best model is there.
        losses: The validation loss of each trial, as the system says it.
        best: That of its best model, by our code from its forecasts.
        train_seconds: What its trials report of their own time.
    """

    seconds: float
    losses: list[float]
    best: float
    train_seconds: float

    @property
    def per_hour(self) -> float:
        """Trials."""
        return 3600 * len(self.losses) / self.seconds


@dataclass(frozen=True, slots=True)
class Windows:
    """The validation windows, and the series that they are of.

    Attributes:
        series: (hours,) train and valid, standardised.
        inputs: (windows, look_back, 1).
        targets: (windows, horizon).
    """

    series: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray

    @classmethod
    def of_benchmark(cls) -> "Windows":
        """As our data set has them."""
        valid = load_benchmark(work.__file__ + ":FewWindows", {}).valid
        inputs, targets = valid.inputs, valid.targets
        hours = int((targets.starts + targets.lengths).max())
        places = inputs.starts[:, None] + np.arange(inputs.lengths[0])
        ahead = targets.starts[:, None] + np.arange(targets.lengths[0])
        return cls(inputs.values[:hours, 0], inputs.values[places], targets.values[ahead, 0])

    def loss(self, forecasts: np.ndarray) -> float:
        """The mean squared error over all windows, of both sides."""
        assert forecasts.shape == self.targets.shape
        return float(np.square(forecasts.astype(np.float64) - self.targets).mean())


def ours(trials: int, seed: int, windows: Windows, folder: Path) -> Search:
    """Search by `seqtune run`, with all that it does at its end: leaderboard, export, criticism."""
    done = run_ours(study_text(trials, seed), folder)
    model = load(folder / "ours" / "best", trust=True)
    inputs = torch.from_numpy(windows.inputs)
    with torch.no_grad():
        forecasts = model(inputs, torch.ones(inputs.shape[:2], dtype=torch.bool))
    best = windows.loss(forecasts.squeeze(2).numpy())
    if abs(best - min(done.losses)) > 1e-3 * best:
        raise RuntimeError(f"our best trial said {min(done.losses)}, its forecasts give {best}")
    return Search(done.seconds, done.losses, best, done.train_seconds)


def theirs(python: Path, trials: int, seed: int, windows: Windows, folder: Path) -> Search:
    """Search by the rival, until it has fitted the best once more; its forecasts are not timed."""
    asked = {
        "trials": trials,
        "seed": seed,
        "slots": SLOTS,
        "steps": STEPS,
        "batch": BATCH,
        "look_back": windows.inputs.shape[1],
        "horizon": windows.targets.shape[1],
        "valid": len(windows.targets) + windows.targets.shape[1] - 1,
        "hidden_size": (WIDTHS[0], WIDTHS[1] + 1),
        "num_layers": LAYERS,
        "learning_rate": RATES,
        "clip_norm": CLIP_NORM,
    }
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    np.save(folder / "series.npy", windows.series)
    begin = time.time()
    run([str(python), str(THEIR_HALF), str(folder)], folder, HOME=str(folder), PYTHONPATH="")
    answer = json.loads((folder / "answer.json").read_text("utf-8"))
    best = windows.loss(np.load(folder / "forecasts.npy"))
    return Search(answer["ended"] - begin, answer["losses"], best, answer["train_seconds"])


def environment(python: Path | None) -> Path:
    """The rival's python; without one, an environment in the user's cache, made if need be."""
    if python is not None:
        return python
    folder = platformdirs.user_cache_path("seqtune") / "perf" / "neuralforecast"
    python = folder / "bin" / "python"
    if not python.exists() or not installed(python):
        print(f"making an environment for {RIVAL} in {folder}", file=sys.stderr)
        torch_version = str(installed_version("torch")).partition("+")[0]
        # S603: constant commands
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603
        pip = [str(python), "-m", "pip", "install", "--quiet", f"torch=={torch_version}", RIVAL]
        subprocess.run(pip, check=True)  # noqa: S603
    return python


def installed(python: Path) -> str:
    """The version of neuralforecast there; empty if there is none."""
    ask = "from importlib.metadata import version; print(version('neuralforecast'))"
    # S603: a constant command
    answer = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip()


def compare(trials: int, repeats: int, python: Path) -> dict[str, list[Search]]:
    """Both searches, turn about, with another seed each time."""
    windows = Windows.of_benchmark()
    found: dict[str, list[Search]] = {"theirs": [], "ours": []}
    for seed in range(repeats):
        for side in list(found)[:: 1 - seed % 2 * 2]:
            with tempfile.TemporaryDirectory() as home:
                folder = Path(home)
                search = (
                    theirs(python, trials, seed, windows, folder)
                    if side == "theirs"
                    else ours(trials, seed, windows, folder)
                )
            assert len(search.losses) == trials
            found[side].append(search)
            print(f"{trials} trials, {side}: {search.per_hour:.0f} per hour", file=sys.stderr)
    return found


def rows(trials: int, found: dict[str, list[Search]]) -> list[list[object]]:
    """One for each side."""
    names = {"theirs": "neuralforecast", "ours": "seqtune"}
    return [
        [
            trials,
            names[side],
            spread([search.per_hour for search in searches], "", 0),
            spread([search.seconds for search in searches], digits=1),
            f"{median(s.train_seconds / (SLOTS * s.seconds) for s in searches):.0%}",
            spread([search.best for search in searches], "", 4),
            spread([min(search.losses) for search in searches], "", 4),
            spread([median(search.losses) for search in searches], "", 4),
        ]
        for side, searches in found.items()
    ]


def promises(trials: int, found: dict[str, list[Search]]) -> list[str]:
    """How many times as fast, at which loss; a promise from `MOST_AT` trials on."""
    times = ratio([s.per_hour for s in found["ours"]], [s.per_hour for s in found["theirs"]])
    loss = ratio([s.best for s in found["ours"]], [min(s.best, *s.losses) for s in found["theirs"]])
    said = f"{trials} trials: {times:.1f} times the trials per hour, {loss:.2f} times the loss"
    if trials < MOST_AT:
        return [f"- {said}"]
    return [
        judged(
            f"{said} (promised: at least {TARGET:g} times, at most 1)",
            times >= TARGET and loss <= 1,
        )
    ]


def differences(python: Path) -> str:
    """What is alike and what is not."""
    return f"""
The same work by neuralforecast {installed(python)}, `AutoLSTM` on its Ray backend, and by
`seqtune run`: the oil temperature of ETTh1, standardised by its train months; look-back 96,
horizon 24; {STEPS} steps of {BATCH} windows a trial; LSTM of {LAYERS[0]} to {LAYERS[-1]} layers
and {WIDTHS[0]} to {WIDTHS[1]} units (log-uniform); Adam, learning rate {RATES[0]:g} to
{RATES[1]:g} (log-uniform), constant; gradient norm clipped at {CLIP_NORM:g}; squared error in
training and validation; {SLOTS} trials at a time with one CPU each, and the same torch. Time
runs from the start of the process until the best model is there. The loss of the best is
computed by one function of ours from either side's forecasts of all validation windows; of the
rival, that or what its best trial said, whichever is lower, is what ours is compared with.

What differs: the rival draws at random and fits its best once more, ours are proposals of TPE
(without the table of good starting points) and the best is kept from its trial; the rival draws
the windows of its steps out of all train windows with a seed of the trial, our trials read the
same {STEPS * BATCH:,} windows, drawn once, in an order of the seed; the rival scales each window
by its own mean and deviation and forecasts through a two-layer perceptron of 128 units, ours
through one linear map, and whether forecasts are changes from the last value is searched. Its
loggers, progress bars and checkpoints are switched off; our event log, checkpoints, leaderboard,
export and criticism are all in the time. "Training" is what the trials report of their own time,
as a share of the slots' time; the rival's own figure counts setting a model up as training.
"""


def main() -> None:
    """Measure at each size and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[12, 60])
    parser.add_argument("--python", type=Path, help="of an environment that has neuralforecast")
    given: Any = parser.parse_args()
    python = environment(given.python)
    lines: list[list[object]] = []
    said: list[str] = []
    for trials in given.trials:
        found = compare(trials, 1 if trials >= MOST_AT else given.repeats, python)
        lines += rows(trials, found)
        said += promises(trials, found)
    headings = [
        "trials",
        "system",
        "trials per hour",
        "whole",
        "training",
        "best loss, by its forecasts",
        "as its trial said",
        "median loss",
    ]
    body = "\n\n".join([differences(python).strip(), table(headings, lines), "\n".join(said)])
    publish("rival", "Against neuralforecast on Ray", body, given)


if __name__ == "__main__":
    main()
