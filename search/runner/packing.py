"""How many trials share a GPU: decided from what they need, and told with the reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.machine import Machine, room

HEADROOM = 1.1  # batches differ, and an allocator holds more than is in use
WORTH = 1.05  # more trials at a time make each of them slower; so much faster must all be
STEPS = 10_000  # Ray counts shares of a GPU in these


@dataclass(frozen=True, slots=True)
class Need:
    """What training one model takes of a GPU.

    Args:
        memory_bytes: Of its tensors at the peak, the data set included; infinite if it did not fit.
        epoch_seconds: What an epoch takes where nothing else runs.
        busy: The share of that time in which the GPU computes; in the rest, others can.
    """

    memory_bytes: float
    epoch_seconds: float
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """The smallest GPU on which trials may run.

    Args:
        name: What its maker calls it.
        process_bytes: What a process takes before its first tensor: CUDA and its libraries.
        overlaps: Whether several processes compute at once on it (CUDA MPS), not in turn.
    """

    name: str
    memory_bytes: int
    process_bytes: int = 0
    overlaps: bool = False

    def tensor_bytes(self, per_gpu: int) -> int:
        """What the tensors of each process may take, where so many share it; may be negative."""
        return self.memory_bytes // per_gpu - self.process_bytes


@dataclass(frozen=True, slots=True)
class Packing:
    """How trials are spread over GPUs.

    Attributes:
        per_gpu: Trials at a time on one GPU.
        slots: Trials at a time on all of them.
        tensor_bytes: The cap on each; None where each has a GPU of its own.
        reason: In words.
    """

    per_gpu: int
    slots: int
    tensor_bytes: int | None
    reason: str


def pack(
    needs: Sequence[Need], gpu: Gpu, machines: Sequence[Machine], *, cpus: float, most: int | None
) -> Packing:
    """The fewest trials on a GPU with which a study is as good as done soonest.

    A model that needs more than a share gets a GPU of its own for its time. Of those that share
    one, each takes its part of the time, but no less than the GPU computes for it.

    Args:
        needs: Of some models that stand for all; at least one.
        machines: Those that trials may run on.
        cpus: Of one trial.
        most: Trials at a time, whatever there is room for; None for no limit.

    Raises:
        ValueError: There is no room for a single trial.
    """
    slots = {}
    for per_gpu in range(1, _most_per_gpu(machines, cpus) + 1):
        held = room(machines, cpus, per_gpu)
        if held and gpu.tensor_bytes(per_gpu) > 0:
            slots[per_gpu] = min(held, most or held)
    if not slots:
        raise ValueError(
            f"a trial must find {cpus:g} CPUs and a GPU with more than "
            f"{gpu.process_bytes / 1e9:.3g} GB on one machine, and no machine has them"
        )
    gpus = sum(machine.gpus for machine in machines)
    seconds = {each: _seconds(needs, gpu, each, slots[each] / gpus) for each in slots}
    enough = min(seconds.values()) * WORTH
    chosen = min(each for each in slots if seconds[each] <= enough)
    return Packing(
        per_gpu=chosen,
        slots=slots[chosen],
        tensor_bytes=gpu.tensor_bytes(chosen) if chosen > 1 else None,
        reason=_reason(needs, gpu, chosen, max(slots)),
    )


def share(per_gpu: int) -> float:
    """The part of a GPU that Ray is asked for, so that this many fit for certain."""
    return STEPS // per_gpu / STEPS


def fits(need: Need, gpu: Gpu, per_gpu: int) -> bool:
    """Whether a model trains within its share; a whole GPU is all that can be had."""
    return per_gpu == 1 or need.memory_bytes * HEADROOM <= gpu.tensor_bytes(per_gpu)


def _most_per_gpu(machines: Sequence[Machine], cpus: float) -> int:
    """Where one more would only wait for CPUs."""
    rooms = [machine.room(cpus, None) / machine.gpus for machine in machines if machine.gpus >= 1]
    return max((math.ceil(each) for each in rooms), default=0)


def _seconds(needs: Sequence[Need], gpu: Gpu, per_gpu: int, at_once: float) -> float:
    """GPU time for an epoch of each model.

    Args:
        at_once: Trials at a time for each GPU; fewer than `per_gpu` where CPUs are short.
    """
    part = 1 / max(at_once, 1.0)
    return sum(
        need.epoch_seconds * max(part, 0.0 if gpu.overlaps else need.busy)
        if fits(need, gpu, per_gpu)
        else need.epoch_seconds
        for need in needs
    )


def _reason(needs: Sequence[Need], gpu: Gpu, per_gpu: int, most: int) -> str:
    tried = f"of the {len(needs)} models tried"
    largest = max((need.memory_bytes for need in needs if need.memory_bytes < math.inf), default=0)
    if per_gpu > 1:
        fitting = sum(fits(need, gpu, per_gpu) for need in needs)
        rest = "" if fitting == len(needs) else ", the others get a GPU of their own"
        said = f"{fitting} {tried} fit into {_size(gpu.tensor_bytes(per_gpu))} each{rest}"
    else:
        said = f"the largest {tried} needs {_size(largest)}"
    seconds = sum(need.epoch_seconds for need in needs) or 1.0
    busy = sum(need.epoch_seconds * need.busy for need in needs) / seconds
    if per_gpu == most:
        why = "there are CPUs for no more"
    elif not gpu.overlaps and per_gpu * busy >= 1 / WORTH:
        why = f"each keeps the GPU busy {busy:.0%} of its time"
    else:
        why = "more would not be done sooner"
    trials = "trial" if per_gpu == 1 else "trials"
    mps = ", CUDA MPS is on" if gpu.overlaps else ""
    of = f"{gpu.name} ({_size(gpu.memory_bytes)}{mps})"
    return f"{per_gpu} {trials} at a time on each {of}: {said}; {why}"


def _size(value: float) -> str:
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
