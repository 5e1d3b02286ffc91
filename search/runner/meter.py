"""What some models of a study take of a GPU, found out by two steps of each, on a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.runner.packing import Gpu, Need
from spaces import Config
from trainers.catalog import load_family
from trainers.data.dataset import Dataset
from trainers.device import Accelerator, accelerator, is_out_of_memory
from trainers.training.dry_run import Cost, dry_run

OUT_OF_REACH = Need(memory_bytes=float("inf"), epoch_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found out: a GPU, and what each model takes of it, in the order asked."""

    gpu: Gpu
    needs: tuple[Need, ...]


def measure(
    description: dict[str, Any],
    sources: Mapping[str, str],
    models: Sequence[tuple[str, Config]],
    arrays: dict[str, np.ndarray],
) -> Reading:
    """Train each model for two steps in this process, which must have a GPU to itself.

    Args:
        description: The data set's; together with the arrays it is the data set.
        sources: Source text of those families that are a user's own.
        models: Family and configuration of each.

    Raises:
        ValueError: Torch sees no GPU here.
    """
    accelerator()  # is there one?
    dataset = Dataset.from_parts(description, arrays)
    needs = []
    for family, config in models:
        try:
            built = load_family(family, sources.get(family))
            needs.append(
                need_of(dry_run(built, config, dataset, device="cuda"), data_bytes(arrays))
            )
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            needs.append(OUT_OF_REACH)
    return Reading(gpu_of(accelerator()), tuple(needs))


def need_of(cost: Cost, data_bytes: int) -> Need:
    """What a dry run says of a training on all data, which lie on the GPU."""
    return Need(cost.memory_bytes + data_bytes, cost.epoch_seconds, cost.busy)


def gpu_of(device: Accelerator) -> Gpu:
    """A GPU as the packing looks at it."""
    return Gpu(device.name, device.memory_bytes, device.process_bytes, device.overlaps)


def data_bytes(arrays: Mapping[str, np.ndarray]) -> int:
    """Of the data set."""
    return sum(array.nbytes for array in arrays.values())
