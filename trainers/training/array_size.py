"""How many trainings of one shape pay as one array: found out by some steps of 1, 2, 4 and more."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import torch

from spaces import Config
from trainers.backbone import Backbone
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.device import free_memory, is_out_of_memory
from trainers.training.dry_run import Kept, sliver_of_steps
from trainers.training.loop import Training, TrainingArray

STEPS: Final = 4
"""Optimiser steps of an epoch of which one warms up and two are timed."""
WORTH: Final = 1.1
"""As many times the trials per hour an array must bring, at least."""
NEARLY: Final = 1.05
"""An array that is slower by less than this is as good; the smaller one is taken."""


@dataclass(frozen=True, slots=True)
class ArrayCost:
    """What so many trainings take as one.

    Attributes:
        seconds: Of some steps, for each of the members.
        memory_bytes: Of all members at the peak; on a processor what autograd keeps and their
            weights, without the process itself and the data set.
    """

    members: int
    seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ArrayChoice:
    """How many trials are trained as one, and why."""

    size: int
    reason: str


def choose_array_size(
    family: type[Backbone],
    config: Config,
    dataset: Dataset,
    *,
    device: str,
    most: int,
    memory_bytes: float,
    seconds: float = 10.0,
) -> ArrayChoice:
    """The size with the most trials per hour that fits; 1 where fusing does not pay.

    Args:
        most: Members of an array, at most.
        memory_bytes: What all of them may take.
        seconds: After so long no larger array is tried.

    Raises:
        ValueError: The configuration cannot be built.
    """
    data = DeviceData(sliver_of_steps(config["training"], dataset, STEPS)[0], device)
    until = perf_counter() + seconds
    costs: list[ArrayCost] = []
    members = 1
    while members <= most:
        made = [Training(family, config, data, seed=seed, epochs=3) for seed in range(members)]
        try:
            with warnings.catch_warnings():  # what torch cannot fuse shows in the measurement
                warnings.filterwarnings("ignore", message="There is a performance drop")
                cost = _measured(made)
        except (RuntimeError, MemoryError, ValueError) as error:
            if not costs:
                return ArrayChoice(1, f"a trial by itself could not be measured: {error}")
            if is_out_of_memory(error):
                break
            return ArrayChoice(1, f"models of this family cannot be trained as one: {error}")
        if cost.memory_bytes > memory_bytes:
            break
        costs.append(cost)
        best = min(each.seconds for each in costs)
        if perf_counter() > until or cost.seconds > WORTH * best:
            break
        members *= 2
    return choice_of(costs)


def choice_of(costs: Sequence[ArrayCost]) -> ArrayChoice:
    """The choice that these measurements tell, of which the first is that of a single training."""
    if len(costs) < 2:
        return ArrayChoice(1, "an array of 2 does not fit into the memory, or none was asked for")
    fastest = min(each.seconds for each in costs)
    chosen = next(each for each in costs if each.seconds <= NEARLY * fastest)
    if costs[0].seconds < WORTH * fastest:
        other = min(costs[1:], key=lambda each: each.seconds)
        times = costs[0].seconds / other.seconds
        return ArrayChoice(
            1, f"arrays do not pay: {other.members} as one bring {times:.2g} times the trials"
        )
    times = costs[0].seconds / chosen.seconds
    return ArrayChoice(
        chosen.members, f"{chosen.members} as one bring {times:.2g} times the trials of one by one"
    )


def _measured(trainings: Sequence[Training]) -> ArrayCost:
    device = trainings[0].data.device
    gpu = device.type == "cuda"
    if gpu:
        free_memory()
        torch.cuda.reset_peak_memory_stats()
    array = TrainingArray(trainings)
    kept = Kept()
    with (
        warnings.catch_warnings(),
        torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack),
    ):
        # attention on a processor: that it goes member by member is what is being found out
        warnings.filterwarnings("ignore", "There is a performance drop")
        array.run_epoch()
    seconds = min(_epoch_seconds(array, gpu) for _ in range(2))
    held = sum(4 * each.weights.vector.nbytes for each in trainings)
    memory = torch.cuda.max_memory_allocated() if gpu else held + kept.peak
    return ArrayCost(len(trainings), seconds / len(trainings), memory)


def _epoch_seconds(array: TrainingArray, gpu: bool) -> float:
    start = perf_counter()
    array.run_epoch()
    if gpu:
        torch.cuda.synchronize()
    return perf_counter() - start
