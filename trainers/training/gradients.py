"""Loss and gradient of a batch, in parts where the batch does not fit in memory."""

from contextlib import nullcontext

import torch
from torch import Tensor

from trainers.backbone import State
from trainers.data.batch import Batch
from trainers.device import is_out_of_memory
from trainers.model import SequenceModel
from trainers.models.layers import Dropout, set_dropout_step
from trainers.randomness import key
from trainers.tasks import Task
from trainers.training.carrying import going_on, joined, read
from trainers.training.diagnostics import ReachProbe
from trainers.training.evaluation import precision
from trainers.training.weights import Weights


class Gradients:
    """Where the gradients of a training come from.

    Attributes:
        probe: Looks at the first part of a batch, where it is set.
        label_smoothing: That of the loss.
        parts: In how many parts a batch is computed; doubled whenever one does not fit in memory.
    """

    def __init__(
        self,
        model: SequenceModel,
        weights: Weights,
        task: Task,
        *,
        seed: int,
        label_smoothing: float,
    ) -> None:
        self.parts = 1
        self.probe: ReachProbe | None = None
        self._model = model
        self._weights = weights
        self._task = task
        self._seed = seed
        self.label_smoothing = label_smoothing
        self._carried: State = {}
        self._drops = any(isinstance(part, Dropout) and part.active for part in model.modules())

    def of(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The mean loss of the batch, 0-d, and its gradient, (P,).

        However many parts it takes, they are those of the whole batch. A window of a stream begins
        with the state after the one before; its gradient ends there.

        Args:
            step: Optimiser steps done; decides what dropout drops.

        Raises:
            MemoryError, RuntimeError: Not even a single example fits.
        """
        while True:
            try:
                return self._in_parts(batch, step)
            except (MemoryError, RuntimeError) as error:
                if self.parts >= len(batch) or not is_out_of_memory(error):
                    raise
            self.parts *= 2

    def _in_parts(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        whole = self._task.weights(batch).sum()
        batch = going_on(self._model, batch, self._carried)
        loss, gradient, state = self._of_part(batch.part(self.parts, 0), whole, step, 0)
        states = [state]
        for part in range(1, min(self.parts, len(batch))):
            more_loss, more, state = self._of_part(batch.part(self.parts, part), whole, step, part)
            loss += more_loss
            gradient += more
            states.append(state)
        self._carried = joined(states)
        return loss, gradient

    def _of_part(
        self, batch: Batch, whole: Tensor, step: int, part: int
    ) -> tuple[Tensor, Tensor, State]:
        """What a part adds to the loss of a batch whose targets weigh `whole`; the state after."""
        seed = key(self._seed, "part", part) if part else self._seed
        _seed_torch(key(seed, "torch", step), batch.mask.device)
        if self._drops:
            set_dropout_step(self._model, seed, step)
        probe = None if part else self.probe
        watching = probe.watching(self._model.embed) if probe else nullcontext()
        with watching, precision(batch.mask.device):
            outputs, state = read(self._model, batch)
        outputs = outputs.to(self._weights.vector.dtype)
        loss = self._task.total_loss(outputs, batch, self.label_smoothing) / whole
        if probe:
            probe.take(loss, batch.mask)
        return loss.detach(), self._weights.gradient(loss), state


def _seed_torch(seed_key: int, device: torch.device) -> None:
    """For models with random numbers of their own, which know no keys; takes a microsecond."""
    torch.default_generator.manual_seed(seed_key)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed_key)
