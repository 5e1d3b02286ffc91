"""What a model reaches on a split, example by example."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from spaces import Config
from trainers.backbone import Backbone, State, can_stream
from trainers.data.batch import Batch
from trainers.data.batching import DeviceData, DeviceSplit, StreamSplit, evaluation_order
from trainers.data.dataset import Dataset
from trainers.device import is_out_of_memory
from trainers.model import SequenceModel, build_model
from trainers.tasks import Task, Transduction
from trainers.training.carrying import going_on, joined, read

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


def measure_split(
    model: SequenceModel, split: DeviceSplit, task: Task, *, final: bool = False
) -> dict[str, np.ndarray]:
    """What `Task.measure` says of every example, (examples, ...) each, in the split's order.

    Streams are read from their beginnings, passage after passage with the state carried on; passage
    by passage where the model has none.

    Args:
        final: The model is trained; where an answer has to be searched for, it is searched well.
    """
    model.eval()
    order = _order(model, split, task)
    parts: list[dict[str, Tensor]] = []
    carried: State = {}
    with torch.no_grad():
        for indices in order:
            batch = going_on(model, split.batch(indices), carried)
            measured, carried = _measure(model, batch, task, final)
            parts.append(measured)
    places = torch.argsort(torch.cat(order)).numpy()
    return {
        name: torch.cat([part[name] for part in parts]).cpu().numpy()[places] for name in parts[0]
    }


def fitted_task(model: SequenceModel, data: DeviceData) -> Task:
    """The task with what it fits to this model on the validation split, and never on the test."""
    if not data.task.fits_on_valid:
        return data.task
    return data.task.fitted(measure_split(model, data.valid, data.task, final=True))


def fitted_dataset(
    family: type[Backbone], config: Config, weights: Mapping[str, Tensor], dataset: Dataset
) -> Dataset:
    """The data set with the task that has what it fits to a trained model, such as thresholds."""
    if not dataset.task.fits_on_valid:
        return dataset
    model = build_model(family, config, dataset.task, seed=0)
    model.load_state_dict(weights)
    return replace(dataset, task=fitted_task(model, DeviceData(dataset)))


def _order(model: SequenceModel, split: DeviceSplit, task: Task) -> list[Tensor]:
    size = max(model.backbone.output_size, task.widest)
    elements = ELEMENTS.get(split.device.type, ELEMENTS["cpu"])
    if isinstance(split, StreamSplit) and can_stream(type(model.backbone)):
        return list(split.order(max(1, elements // (int(split.lengths.max()) * size))))
    return list(evaluation_order(split, size=size, elements=elements))


def _measure(
    model: SequenceModel, batch: Batch, task: Task, final: bool
) -> tuple[dict[str, Tensor], State]:
    """With the state after the batch; in two halves where it does not fit in memory."""
    try:
        with precision(batch.mask.device):
            outputs, state = read(model, batch)
        measured = task.measure(outputs.float(), batch)
        if isinstance(task, Transduction):
            width = task.beam_width if final else 1
            with precision(batch.mask.device):
                answers = model.decode(batch.inputs, batch.mask, beam_width=width)
            measured |= task.measure_answers(answers, batch)
        return measured, joined([state])
    except (MemoryError, RuntimeError) as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    halves = [_measure(model, batch.part(2, half), task, final) for half in (0, 1)]
    return joined([half[0] for half in halves]), joined([half[1] for half in halves])
