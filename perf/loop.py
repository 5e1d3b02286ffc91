"""Our training loop against a bare PyTorch loop: same model, same batches, same optimiser.

Both train and validate epoch by epoch, turn about, so that a busy machine slows both. Processor
seconds are counted, in which other processes' share of the machine is not.

    python -m perf.loop                                 # all families, tiny to large
    python -m perf.loop --families lstm gru --sizes 16 --epochs 8
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from perf.report import arguments, judged, publish, table
from spaces import Config, default
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.model import build_model
from trainers.models import MODELS
from trainers.tasks import Classification
from trainers.training.loop import Training

MOST = 1.05
EXAMPLES, VALID, BATCH, FEATURES, CLASSES = 640, 64, 32, 8, 10


@dataclass(frozen=True, slots=True)
class Arrays:
    """The raw numbers of a made-up classification problem, (examples, time, size) and classes."""

    inputs: np.ndarray
    targets: np.ndarray

    def dataset(self) -> Dataset:
        """The same numbers as our loop takes them."""
        split = Split(
            Sequences.from_array(self.inputs), Sequences.from_array(self.targets[:, None])
        )
        train, valid = np.arange(EXAMPLES), np.arange(EXAMPLES, EXAMPLES + VALID)
        task = Classification(input_size=FEATURES, classes=CLASSES)
        parts = split.select(train), split.select(valid), split.select(valid)
        return Dataset("made up", task, *parts, {})


def made_up(time_steps: int) -> Arrays:
    """Noise with random classes: speed does not depend on what is learned."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((EXAMPLES + VALID, time_steps, FEATURES), dtype=np.float32)
    return Arrays(inputs, rng.integers(0, CLASSES, EXAMPLES + VALID))


def configuration(name: str, size: int, task: Classification) -> Config:
    """The family's defaults at a width, without what the other loop does not have."""
    config: Config = default(family_space(load_family(name), task, EXAMPLES))
    *parts, last = load_family(name).width.split("/")
    reduce(getitem, parts, config["model"])[last] = size
    config["training"]["batch_size"] = BATCH
    return config


def bare_loop(
    config: Config, arrays: Arrays, task: Classification, horizon: int
) -> Callable[[], None]:
    """One epoch of what people write by hand."""
    model = build_model(load_family(config["model"]["name"]), config, task, seed=0)
    inputs, targets = torch.tensor(arrays.inputs), torch.tensor(arrays.targets)
    mask = torch.ones(inputs.shape[:2], dtype=torch.bool)
    settings = config["training"]["optimizer"]
    optimizer = torch.optim.AdamW(
        model.parameters(), settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    steps = horizon * EXAMPLES // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def step(indices: Tensor) -> float:
        loss = F.cross_entropy(model(inputs[indices], mask[indices]), targets[indices])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config["training"]["clip_norm"])
        optimizer.step()
        schedule.step()
        return loss.item()

    def epoch() -> None:
        model.train()
        losses = [step(indices) for indices in torch.randperm(EXAMPLES).split(BATCH)]
        model.eval()
        with torch.no_grad():
            outputs = model(inputs[EXAMPLES:], mask[EXAMPLES:])
            F.cross_entropy(outputs, targets[EXAMPLES:]).item()
        statistics.fmean(losses)

    return epoch


@dataclass(frozen=True, slots=True)
class Pair:
    """Both loops on one model; processor seconds of each epoch."""

    name: str
    size: int
    parameters: int
    bare: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours by bare, of neighbouring epochs, in order of size."""
        return sorted(a / b for a, b in zip(self.ours, self.bare, strict=True))

    @property
    def ratio(self) -> float:
        """Their median."""
        return statistics.median(self.ratios)

    def row(self) -> list[object]:
        """The median, and the quartiles of the ratio."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        seconds = (statistics.median(self.bare), statistics.median(self.ours))
        return [
            f"`{self.name}`",
            self.size,
            f"{self.parameters:,}",
            *(f"{each:.3f} s" for each in seconds),
            f"{self.ratio:.3f} ({low:.3f} to {high:.3f})",
        ]


def compare(name: str, size: int, time_steps: int, epochs: int) -> Pair:
    """Both loops on one model, turn about."""
    arrays = made_up(time_steps)
    dataset = arrays.dataset()
    config = configuration(name, size, dataset.task)
    ours = Training(load_family(name), config, DeviceData(dataset), seed=0, epochs=epochs + 1)
    runs = {"ours": ours.run_epoch, "bare": bare_loop(config, arrays, dataset.task, epochs + 1)}
    seconds: dict[str, list[float]] = {loop: [] for loop in runs}
    for epoch in range(epochs + 1):
        for loop, run in list(runs.items())[:: 1 - epoch % 2 * 2]:
            start = time.process_time()
            run()
            if epoch:  # the first warms up
                seconds[loop].append(time.process_time() - start)
    return Pair(name, size, ours.parameters, seconds["bare"], seconds["ours"])


def main() -> None:
    """Measure and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--families", nargs="+", default=list(MODELS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[16, 128])
    parser.add_argument("--time", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    given: Any = parser.parse_args()
    torch.set_num_threads(given.threads)
    pairs = []
    for name in given.families:
        for size in given.sizes:
            pairs.append(compare(name, size, given.time, given.epochs))
            print(*pairs[-1].row(), file=sys.stderr, flush=True)
    publish("loop", "Our training loop against a bare one", text(pairs, given), given)


def text(pairs: list[Pair], given: Any) -> str:
    """The section."""
    headings = ["family", "width", "parameters", "bare, an epoch", "ours", "ours / bare"]
    middle = statistics.median(pair.ratio for pair in pairs)
    worst = max(pairs, key=lambda pair: pair.ratio)
    said = (
        f"ours / bare {middle:.3f} in the median of the models, at most {worst.ratio:.3f} "
        f"(`{worst.name}`, {worst.size}); promised is at most {MOST} each"
    )
    return f"""
The same model, batches, optimiser, schedule and clipping in our loop and in a loop as people
write it by hand: {EXAMPLES} sequences of {given.time} steps and {FEATURES} features, batches of
{BATCH}, validation of {VALID} after each epoch; {given.epochs} epochs each, turn about, after
one to warm up. Processor seconds; the ratio is the median over neighbouring epochs, with its
quartiles. Ours also watches gradients and saturation, checks for divergence, keeps the best
weights and can go on from a checkpoint with the same bits.

{table(headings, [pair.row() for pair in pairs])}

{judged(said, worst.ratio <= MOST)}
"""


if __name__ == "__main__":
    main()
