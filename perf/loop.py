"""Our training loop against a bare PyTorch loop: same model, same batches, same optimiser.

Both train and validate epoch by epoch, turn about, so that a busy machine slows both. The table
gives median processor seconds per epoch (other processes' share of the machine is not in them) and
the median of ours / bare over neighbouring epochs.

    python -m perf.loop --families lstm gru tcn --sizes 16 64 128 --epochs 20
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces import Config, default
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.model import build_model
from trainers.tasks import Classification
from trainers.training.loop import Training

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
    if "hidden_size" not in config["model"]:
        raise SystemExit(f"{name} has no `hidden_size` to set")
    config["model"]["hidden_size"] = size
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


def compare(name: str, size: int, time_steps: int, epochs: int) -> str:
    """One row of the table."""
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
    median = {loop: statistics.median(values) for loop, values in seconds.items()}
    ratios = statistics.median(a / b for a, b in zip(seconds["ours"], seconds["bare"], strict=True))
    return (
        f"{name:12} {size:5} {time_steps:6} {ours.parameters:10,} "
        f"{median['bare']:9.3f} {median['ours']:9.3f} {ratios:8.3f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=["lstm", "gru", "tcn"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[16, 64, 128])
    parser.add_argument("--time", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    columns = f"{'family':12} {'size':>5} {'time':>6} {'parameters':>10}"
    print(f"{columns} {'bare s':>9} {'ours s':>9} {'ratio':>8}")
    for name in options.families:
        for size in options.sizes:
            print(compare(name, size, options.time, options.epochs), flush=True)


if __name__ == "__main__":
    main()
