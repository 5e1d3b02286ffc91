"""What a model reaches on a split, example by example."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

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
from trainers.training.carrying import going_on, joined, packed, read, unpacked
from trainers.training.diagnostics import SaturationProbe, taken_up
from trainers.training.members import Members, Own

Examples = dict[str, np.ndarray]
"""What a task says of every example, by name."""

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
) -> Examples:
    """What `Task.measure` says of every example, (examples, ...) each, in the split's order.

    Streams are read from their beginnings, passage after passage with the state carried on; passage
    by passage where the model has none.

    Args:
        final: The model is trained; where an answer has to be searched for, it is searched well.
    """
    return measure_members(Members([model]), split, task, final=final)[0]


def measure_members(
    members: Members,
    split: DeviceSplit,
    task: Task,
    *,
    final: bool = False,
    probes: Sequence[SaturationProbe] = (),
) -> list[Examples]:
    """The same of several models at once.

    Args:
        probes: One for each member, or none.
    """
    members.train(False)
    order = _order(members, split, task)
    reading = _Reading(members, task, final, probes)
    with torch.no_grad():
        parts = [reading.measure(split.batch(indices)) for indices in order]
    places = torch.argsort(torch.cat(order)).numpy()
    return [
        {name: torch.cat([part[name] for part in mine]).cpu().numpy()[places] for name in mine[0]}
        for mine in zip(*parts, strict=True)
    ]


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


def _order(members: Members, split: DeviceSplit, task: Task) -> list[Tensor]:
    backbone = members.models[0].backbone
    size = max(backbone.output_size, task.widest)
    elements = max(1, ELEMENTS.get(split.device.type, ELEMENTS["cpu"]) // len(members))
    if isinstance(split, StreamSplit) and can_stream(type(backbone)):
        return list(split.order(max(1, elements // (int(split.lengths.max()) * size))))
    return list(evaluation_order(split, size=size, elements=elements))


class _Reading:
    """Several models on their way through a split."""

    def __init__(
        self, members: Members, task: Task, final: bool, probes: Sequence[SaturationProbe]
    ) -> None:
        self._members = members
        self._task = task
        self._final = final
        self._probes = probes
        self._carried: State = {}

    def measure(self, batch: Batch) -> list[dict[str, Tensor]]:
        """What the task says of the next batch, of each member's outputs.

        In parts where the batch does not fit in memory.
        """
        parts = 1
        while True:
            try:
                found = [self._part(batch, parts, part) for part in range(min(parts, len(batch)))]
            except (MemoryError, RuntimeError) as error:
                if parts >= len(batch) or not is_out_of_memory(error):
                    raise
                parts *= 2
                continue
            self._carried = joined([state for _, state in found], dim=1)
            measured = zip(*(each for each, _ in found), strict=True)
            return [joined(mine) for mine in measured]

    def _part(self, batch: Batch, parts: int, part: int) -> tuple[list[dict[str, Tensor]], State]:
        """With the states after it."""

        def one(model: SequenceModel, own: Own) -> Any:
            mine = going_on(model, batch, unpacked(own)).part(parts, part)
            with taken_up(model.head) as seen, precision(batch.mask.device):
                outputs, state = read(model, mine)
            return outputs.float(), state, tuple(seen)

        outputs, state, seen = self._members.run(one, packed(self._carried))
        for probe, *taken in zip(self._probes, *seen, strict=False):
            probe.look(*taken)
        mine = batch.part(parts, part)
        measured = [self._task.measure(each, mine) for each in outputs]
        if isinstance(self._task, Transduction):
            for model, examples in zip(self._members.models, measured, strict=True):
                examples.update(self._decoded(self._task, model, mine))
        return measured, state

    def _decoded(self, task: Transduction, model: SequenceModel, batch: Batch) -> dict[str, Tensor]:
        width = task.beam_width if self._final else 1
        with precision(batch.mask.device):
            answers = model.decode(batch.inputs, batch.mask, beam_width=width)
        return task.measure_answers(answers, batch)
