"""Losses and gradients of several members' batches, in parts where they do not fit in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainers.backbone import State
from trainers.data.batch import Batch
from trainers.device import is_out_of_memory
from trainers.model import SequenceModel
from trainers.randomness import key
from trainers.spelling import SpeltEmbedding
from trainers.tasks import Task
from trainers.training.carrying import going_on, joined, packed, read, unpacked
from trainers.training.diagnostics import ReachProbe, nudged
from trainers.training.evaluation import precision
from trainers.training.members import Members, Own


@dataclass(frozen=True, slots=True)
class Goal:
    """What one member is trained for.

    Attributes:
        seed: Decides, with the step, what dropout drops.
    """

    task: Task
    seed: int
    label_smoothing: float = 0.0


class Gradients:
    """Where the gradients of an array of trainings come from.

    Attributes:
        goals: Of each member.
        probe: Looks at the first part of a batch, where it is set.
        groups: In how many groups members are computed; doubled whenever one does not fit in
            memory, until every member is by itself.
        parts: In how many parts a batch is computed; doubled whenever one does not fit by then.
    """

    def __init__(self, members: Members, goals: Sequence[Goal]) -> None:
        self.probe: ReachProbe | None = None
        self.groups = 1
        self.parts = 1
        self._members = members
        self.goals = list(goals)
        self._carried: State = {}

    def of(self, batch: Batch, steps: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The mean losses of the batch, (members,), and their gradients, (members, P).

        However many parts it takes, they are those of the whole batch. A window of a stream begins
        with the state after the one before; its gradient ends there.

        Args:
            batch: The same for all members, or all its tensors are (members, ...).
            steps: Optimiser steps that each member has done; decides what dropout drops.

        Raises:
            MemoryError, RuntimeError: Not even a single example of one member fits.
        """
        while True:
            try:
                return self._in_groups(batch, steps)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._halved(batch.indices.shape[-1]):
                    raise

    def _halved(self, rows: int) -> bool:
        """Whether less can be computed at once."""
        if self.groups < len(self.goals):
            self.groups *= 2
        elif self.parts < rows:
            self.parts *= 2
        else:
            return False
        return True

    def _in_groups(self, batch: Batch, steps: Sequence[int]) -> tuple[Tensor, Tensor]:
        if self.probe is not None:
            self.probe.forget()
        if self.groups == 1:
            group = _Group(self._members, self.goals, steps, self.parts, self.probe)
            losses, gradient, self._carried = group.of(batch, self._carried)
            return losses, gradient
        found = []
        size = -(-len(self.goals) // self.groups)
        for first in range(0, len(self.goals), size):
            rows = slice(first, first + size)
            group = _Group(
                self._members.part(rows), self.goals[rows], steps[rows], self.parts, self.probe
            )
            own = batch.members(rows) if batch.indices.ndim > 1 else batch
            state = {name: value[rows] for name, value in self._carried.items()}
            found.append(group.of(own, state))
        self._carried = joined([state for _, _, state in found])
        return torch.cat([each for each, _, _ in found]), torch.cat([each for _, each, _ in found])


@dataclass(slots=True)
class _Group:
    """Members that are computed at once."""

    members: Members
    goals: Sequence[Goal]
    steps: Sequence[int]
    parts: int
    probe: ReachProbe | None

    def of(self, batch: Batch, carried: State) -> tuple[Tensor, Tensor, State]:
        """Losses, gradients and the states after the batch, (members, ...) each."""
        losses, gradient, state = self._of_part(batch, carried, 0)
        states = [state]
        for part in range(1, min(self.parts, batch.indices.shape[-1])):
            more_losses, more, state = self._of_part(batch, carried, part)
            losses += more_losses
            gradient += more
            states.append(state)
        return losses, gradient, joined(states, dim=1)

    def _of_part(self, batch: Batch, carried: State, part: int) -> tuple[Tensor, Tensor, State]:
        """What a part of the batch adds to its losses and their gradients."""
        seeds = [key(goal.seed, "part", part) if part else goal.seed for goal in self.goals]
        _seed_torch(key(seeds[0], "torch", self.steps[0]), batch.mask.device)
        self.members.set_dropout_step(seeds, self.steps)
        own = self._own(batch) | packed(carried)
        probe = None if part else self.probe
        if probe is not None:
            own["nudge"] = self._nudge(batch)
        task, parts, dtype = self.goals[0].task, self.parts, self.members.vectors.dtype

        def one(model: SequenceModel, own: Own) -> Any:
            whole = batch.with_own(own)
            weights = own["weights"] if "weights" in own else task.weights(whole)
            mine = going_on(model, whole, unpacked(own)).part(parts, part)
            with nudged(model.embed, own.get("nudge")), precision(batch.mask.device):
                outputs, state = read(model, mine)
            losses = task.losses(outputs.to(dtype), mine, own.get("smoothing", 0.0))
            weighted = losses * weights[whole.rows(parts, part)]
            return weighted.sum() / weights.sum(), state

        losses, state = self.members.run(one, own)
        if probe is not None:
            (gradient,) = torch.autograd.grad(
                losses.sum(), [own["nudge"]], retain_graph=True, materialize_grads=True
            )
            probe.take(gradient, batch.mask[..., batch.rows(parts, 0), :])
        return losses.detach(), self.members.gradient(losses), state

    def _own(self, batch: Batch) -> Own:
        """What of a batch is not the same for all members."""
        several, first = batch.indices.ndim > 1, self.goals[0]
        own = batch.to_own() if several else {}
        if any(goal.task != first.task for goal in self.goals):
            weights = [
                goal.task.weights(batch.members(member) if several else batch)
                for member, goal in enumerate(self.goals)
            ]
            own["weights"] = torch.stack(weights)
        if any(goal.label_smoothing for goal in self.goals):
            numbers = [goal.label_smoothing for goal in self.goals]
            own["smoothing"] = self.members.vectors.new_tensor(numbers)
        return own

    def _nudge(self, batch: Batch) -> Tensor:
        """Zeros as every member's backbone is given for the first part of the batch."""
        embed = self.members.models[0].embed
        size = batch.inputs.shape[-1]
        if isinstance(embed, nn.Embedding | SpeltEmbedding):
            size = embed.embedding_dim
        rows = len(range(batch.mask.shape[-2])[batch.rows(self.parts, 0)])
        shape = (len(self.members), rows, batch.mask.shape[-1], size)
        return self.members.vectors.new_zeros(shape).requires_grad_()


def _seed_torch(seed_key: int, device: torch.device) -> None:
    """For models with random numbers of their own, which know no keys; takes a microsecond."""
    torch.default_generator.manual_seed(seed_key)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed_key)
