"""What a model reaches on a split, example by example."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from trainers.batch import Batch
from trainers.batching import DeviceSplit, evaluation_order
from trainers.device import is_out_of_memory
from trainers.model import SequenceModel
from trainers.tasks import Task

ELEMENTS: Final = {"cpu": 2**20, "cuda": 2**24}
"""Most elements of a (batch, time, size) tensor in evaluation. On a processor 4 MB in float32 were
fastest for LSTM and GRU of 16 to 128 units, with larger batches up to 1.5 times as slow."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model reaches on one split.

    Attributes:
        metrics: The split's metrics.
        example_losses: (examples,), in the split's order; see `Task.example_losses`.
        seconds: What it took.
    """

    metrics: dict[str, float]
    example_losses: np.ndarray
    seconds: float


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Matrix products in bfloat16 on a GPU that has it; the sums and losses stay in float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def measure_split(model: SequenceModel, split: DeviceSplit, task: Task) -> dict[str, np.ndarray]:
    """What `Task.measure` says of every example, (examples,) each, in the split's order."""
    model.eval()
    size = max(model.backbone.output_size, task.input_size)
    elements = ELEMENTS.get(split.device.type, ELEMENTS["cpu"])
    order = list(evaluation_order(split, size=size, elements=elements))
    with torch.no_grad():
        parts = [_measure(model, split.batch(indices), task) for indices in order]
    places = torch.argsort(torch.cat(order)).numpy()
    return {
        name: torch.cat([part[name] for part in parts]).cpu().numpy()[places] for name in parts[0]
    }


def _measure(model: SequenceModel, batch: Batch, task: Task) -> dict[str, Tensor]:
    """In two halves where the batch does not fit in memory."""
    try:
        with precision(batch.mask.device):
            outputs = model(batch.inputs, batch.mask)
        return task.measure(outputs.float(), batch)
    except (MemoryError, RuntimeError) as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    first, second = (_measure(model, batch.part(2, half), task) for half in (0, 1))
    return {name: torch.cat([first[name], second[name]]) for name in first}
