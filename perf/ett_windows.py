"""The work that rivals are given too: 50 steps of 32 windows of ETTh1's oil temperature, by LSTMs.

The train split has as many windows as a trial is to see, so that one epoch is its whole training.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perf.report import PROGRAM, run
from search.store.log import read_events
from trainers.benchmarks.benchmark import check_range
from trainers.benchmarks.ett import ETTh1
from trainers.data.dataset import Dataset, Sequences, Split

STEPS, BATCH = 50, 32
WIDTHS, LAYERS, RATES, CLIP_NORM = (32, 128), (1, 2), (1e-4, 1e-2), 1.0
SLOTS = 2
"""Trials at a time, with one CPU each."""


@dataclass(frozen=True, kw_only=True)
class FewWindows(ETTh1):
    """The target column, look-back 96, horizon 24; valid and test are whole.

    Attributes:
        windows: Of the train split, drawn once and for all.
    """

    name = "few_windows"
    horizon: int = 24
    univariate: bool = True
    windows: int = STEPS * BATCH

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("windows", self.windows, 1, 8000)

    def prepare(self, folder: Path) -> Dataset:
        """The benchmark's data set with fewer windows to train on."""
        whole = super().prepare(folder)
        drawn = np.random.default_rng(0).choice(len(whole.train), self.windows, replace=False)
        return replace(whole, name=self.name, train=_of_windows(whole.train, drawn))


def _of_windows(split: Split, drawn: np.ndarray) -> Split:
    """Some windows of a split, over the same arrays."""
    return Split(
        Sequences(split.inputs.values, split.inputs.starts[drawn], split.inputs.lengths[drawn]),
        Sequences(split.targets.values, split.targets.starts[drawn], split.targets.lengths[drawn]),
    )


def study_text(trials: int, seed: int, sampler: str = "tpe") -> str:
    """What `seqtune` is asked for, as a study file."""
    return f"""
name = "ours"
benchmark = "{Path(__file__)}:{FewWindows.__name__}"
families = ["lstm"]
seed = {seed}
budget = {{ trials_per_family = {trials}, epochs = 1 }}
search = {{ sampler = "{sampler}", scheduler = "none", starting_points = 0 }}
confirm = {{ top_per_family = 0 }}
resources = {{ max_concurrent = {SLOTS}, gpus_per_trial = 0 }}
[space.lstm]
hidden_size = {{ low = {WIDTHS[0]}, high = {WIDTHS[1]}, log = true }}
num_layers = {{ low = {LAYERS[0]}, high = {LAYERS[-1]} }}
dropout = 0.0
layer_norm = false
[space.training]
batch_size = {BATCH}
schedule = "constant"
clip_norm = {CLIP_NORM}
[space.training.optimizer]
name = "adam"
learning_rate = {{ low = {RATES[0]}, high = {RATES[1]} }}
weight_decay = 1e-7
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What `seqtune run` made of it.

    Attributes:
        seconds: Of the whole command: search, leaderboard, export, criticism.
        losses: The validation loss of each trial, by its number.
        train_seconds: What the trials report of their own time.
    """

    seconds: float
    losses: list[float]
    train_seconds: float


def run_ours(text: str, folder: Path) -> Done:
    """Run a study of `study_text` by the command line; its results are in `folder / "ours"`."""
    (folder / "study.toml").write_text(text, encoding="utf-8")
    begin = time.time()
    run([*PROGRAM, "run", "study.toml", "--out", str(folder), "--quiet"], folder)
    seconds = time.time() - begin
    reports = [event for event in read_events(folder / "ours") if event["event"] == "reported"]
    losses = {event["trial"]: event["valid"]["mse"] for event in reports}
    return Done(
        seconds, [losses[number] for number in sorted(losses)], sum(e["seconds"] for e in reports)
    )
