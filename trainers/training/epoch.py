"""One epoch of trainings of one shape: their batches, their numbers, and how it goes for each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from trainers.data.batch import Batch
from trainers.training.diagnostics import GradientWatch, ReachProbe, SaturationProbe, notes
from trainers.training.member import Diverged, Measurement, Member
from trainers.training.optim import Number

Found = Measurement | Diverged


class Epoch:
    """One epoch of several trainings, which may be at different ages.

    Attributes:
        steps: Optimiser steps in it.
        numbers: Optimiser's settings but the learning rate, of all, or (members, 1) each.
        frozen: (members, 1), True for those that have diverged; None before any has.
    """

    def __init__(self, trainings: Sequence[Member], vectors: Tensor) -> None:
        self._trainings = list(trainings)
        self._vectors = vectors
        self._orders = [each.order() for each in trainings]
        self._shared = all(_same(self._orders[0], order) for order in self._orders[1:])
        self._diverged: dict[int, Diverged] = {}
        self._valid: dict[int, dict[str, float]] = {}
        self._totals = vectors.new_zeros(len(trainings), dtype=torch.float64)
        self.steps = len(self._orders[0])
        self.frozen: Tensor | None = None
        settings = [each.settings["optimizer"] for each in trainings]
        self.numbers = {
            name: self._number([each[name] for each in settings])
            for name in settings[0]
            if name not in ("name", "learning_rate")
        }
        rates = [each.learning_rates() for each in trainings]
        self._rates = [self._number(each) for each in zip(*rates, strict=True)]
        self._done = self._number([each.steps[0] for each in trainings], torch.float64)
        self._clip_norms = [each.settings["clip_norm"] for each in trainings]
        self.watch = GradientWatch(vectors, trainings[0].weights, self._number(self._clip_norms))
        self.reach = ReachProbe()

    def _number(self, values: Sequence[float], dtype: torch.dtype | None = None) -> Number:
        """One of each, (members, 1); of a single one the number, which takes less time."""
        if len(values) == 1:
            return values[0]
        kind, device = dtype or self._vectors.dtype, self._vectors.device
        return torch.tensor(values, dtype=kind, device=device).unsqueeze(1)

    @property
    def running(self) -> bool:
        """Whether anyone has not diverged."""
        return len(self._diverged) < len(self._trainings)

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0 in this epoch; see `Batch` for several members."""
        examples = self._trainings[0].examples
        if self._shared:
            return examples.batch(self._orders[0][step])
        batch = examples.batch(torch.cat([order[step] for order in self._orders]))
        members = len(self._orders)
        return batch.with_own(
            {name: part.view(members, -1, *part.shape[1:]) for name, part in batch.to_own().items()}
        )

    def steps_done(self, step: int) -> list[int]:
        """By each training before a step of this epoch."""
        return [each.steps[step] for each in self._trainings]

    def rates(self, step: int) -> tuple[Number, Number]:
        """The number of a step from 1 through all epochs, and its learning rates."""
        return self._done + step + 1, self._rates[step]

    def count(self, losses: Tensor, examples: int) -> None:
        """Take the losses (members,) of a step; on a GPU that would have to be waited for."""
        self._totals.add_(losses, alpha=examples)
        if self._vectors.device.type == "cpu":
            self._check(losses, "training loss")

    def check(self) -> None:
        """See after the last step who has diverged."""
        self._check(self._totals, "training loss")
        self._check(self._vectors.sum(1), "sum of all weights")

    def _check(self, values: Tensor, what: str) -> None:
        if bool(torch.isfinite(values).all()):
            return
        for row, number in enumerate(values.tolist()):
            each = self._trainings[row]
            if row not in self._diverged and not math.isfinite(number):
                steps = self.watch.describe(row, self._clip_norms[row])
                self._diverged[row] = each.diverged(f"the {what} became {number}", steps)
        frozen = [row in self._diverged for row in range(len(self._trainings))]
        self.frozen = torch.tensor(frozen, device=values.device).unsqueeze(1)

    def end(self, row: int, examples: Mapping[str, np.ndarray]) -> None:
        """Take what one training reaches on the validation split, unless that is told."""
        if row in self._diverged:
            return
        training = self._trainings[row]
        try:
            self._valid[row] = training.told or training.data.task.summarize(examples)
            training.keep_if_best(self._valid[row])
        except Diverged as error:
            self._diverged[row] = error

    def found(self, row: int, probe: SaturationProbe, seconds: float) -> Found:
        """What became of one training."""
        if row in self._diverged:
            return self._diverged[row]
        training = self._trainings[row]
        report = self.watch.report(row) | self.reach.report(row)
        report |= {"saturated_share": probe.share()}
        report["notes"] = notes(report, self._clip_norms[row])
        loss = self._totals[row].item() / training.examples.examples
        return Measurement(training.epoch, loss, self._valid[row], seconds, report)


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two orders have the same batches."""
    return all(torch.equal(*batches) for batches in zip(one, other, strict=True))
