"""What training a configuration would take, from two epochs on a sliver of the data."""

import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from spaces import Config
from trainers.backbone import Backbone
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.device import free_memory
from trainers.training.loop import Diverged, Training

STEPS: Final = 2
"""Optimiser steps of an epoch of the dry run."""
EPOCHS: Final = 3
"""A first one warms up, a second is timed, and on a GPU a third is looked into."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one trial takes.

    Attributes:
        parameters: Trainable ones.
        epoch_seconds: Training for one epoch and validating.
        memory_bytes: Of its tensors at the peak; on a processor those that autograd keeps and those
            of the weights, without the process itself and the data set.
        checkpoint_bytes: On disk.
        busy: The share of an epoch in which a GPU computes; 0 on a processor.
    """

    parameters: int
    epoch_seconds: float
    memory_bytes: int
    checkpoint_bytes: int
    busy: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON object with these keys."""
        return asdict(self)


def dry_run(family: type[Backbone], config: Config, dataset: Dataset, *, device: str) -> Cost:
    """Train for two short epochs and see what that takes.

    Args:
        device: Where tensors live, in torch's words.

    Raises:
        ValueError: The configuration cannot be built.
        MemoryError, RuntimeError: Not even a single example fits into the memory.
    """
    sliver, share = sliver_of_steps(config["training"], dataset, STEPS)
    data = DeviceData(sliver, device)
    gpu = data.device.type == "cuda"
    if gpu:
        free_memory()
        torch.cuda.reset_peak_memory_stats()
    training = Training(family, config, data, seed=0, epochs=EPOCHS)
    kept = Kept()
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack):
        _epoch_seconds(training)
    seconds = _epoch_seconds(training)
    checkpoint = _on_disk(training)
    # a checkpoint lacks the gradient alone of what a training holds
    tensors = checkpoint + 4 * training.parameters + kept.peak
    return Cost(
        parameters=training.parameters,
        epoch_seconds=seconds / share,
        memory_bytes=torch.cuda.max_memory_allocated() if gpu else tensors,
        checkpoint_bytes=checkpoint,
        busy=min(_computing_seconds(training) / seconds, 1.0) if gpu else 0.0,
    )


class Kept:
    """Counts the bytes that autograd keeps for the backward pass.

    Attributes:
        peak: The most at a time; a storage counts once.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._now = 0
        self._users: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> "Held":
        """A tensor is to be kept."""
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self._users[place]:
            self._now += size
            self.peak = max(self.peak, self._now)
        self._users[place] += 1
        held = Held(tensor)
        finalize(held, self._release, place, size)
        return held

    def unpack(self, held: "Held") -> Tensor:
        """It is wanted."""
        return held.tensor

    def _release(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self._now -= size


class Held:
    """A tensor that autograd keeps; when this goes, it is kept no longer."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def sliver_of_steps(settings: Config, dataset: Dataset, steps: int) -> tuple[Dataset, float]:
    """So much of a data set that an epoch has these steps, and which share of it that is.

    Args:
        settings: The training section.
    """
    share = min(steps * _examples_of_a_step(settings, dataset) / len(dataset.train), 1.0)
    return _sliver(dataset, share), share


def _examples_of_a_step(settings: Config, dataset: Dataset) -> float:
    """How many there are in a batch, or passages in the windows of all lanes."""
    if not dataset.task.streams:
        return float(settings["batch_size"])
    steps = settings["batch_size"] * settings["bptt_steps"]
    return float(steps / dataset.train.inputs.lengths.mean())


def _sliver(dataset: Dataset, share: float) -> Dataset:
    """A share of the examples, at least one of each split, spread over all of it.

    Of streams the beginning: scattered passages would be short streams, read side by side.
    """

    def part(split: Split) -> Split:
        examples = len(split)
        taken = np.arange(max(round(share * examples), 1))
        return split.select(taken if dataset.task.streams else taken * examples // len(taken))

    return replace(dataset, train=part(dataset.train), valid=part(dataset.valid))


def _epoch_seconds(training: Training) -> float:
    """What an epoch takes, also at a learning rate at which it diverges."""
    start = perf_counter()
    with suppress(Diverged):
        training.run_epoch()
    return perf_counter() - start


def _computing_seconds(training: Training) -> float:
    """How long a GPU computes in an epoch; kernels that torch's profiler cannot see count not."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        _epoch_seconds(training)
        torch.cuda.synchronize()
    microseconds = sum(kernel.self_device_time_total for kernel in profile.key_averages())
    return float(microseconds) / 1e6


def _on_disk(training: Training) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        training.save(path)
        return path.stat().st_size
