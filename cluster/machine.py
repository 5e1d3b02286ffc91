"""A machine as Ray counts it: CPUs, GPUs and labels, and how many workers it holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Machine:
    """What one machine of a cluster declares.

    Args:
        labels: Ray's, such as `ray.io/accelerator-type`, and those that it was started with.
    """

    cpus: float
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether it carries all of these labels."""
        return all(self.labels.get(name) == value for name, value in labels.items())

    def room(self, cpus: float, per_gpu: float | None) -> int:
        """How many workers it holds at a time.

        Args:
            cpus: Of one worker.
            per_gpu: Workers on one GPU, below 1 where one has several; None if they need none.
        """
        by_cpu = int(self.cpus // cpus)
        return by_cpu if per_gpu is None else min(by_cpu, int(self.gpus * per_gpu))


def room(machines: Iterable[Machine], cpus: float, per_gpu: float | None = None) -> int:
    """How many workers all machines hold at a time; none is spread over two."""
    return sum(machine.room(cpus, per_gpu) for machine in machines)
