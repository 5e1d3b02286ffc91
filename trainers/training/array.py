"""Trainings of one shape, trained as one."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from time import perf_counter

import torch
from torch import Tensor

from trainers.randomness import key, torch_randomness
from trainers.training.diagnostics import SaturationProbe
from trainers.training.epoch import Epoch, Found
from trainers.training.evaluation import Examples, measure_members
from trainers.training.gradients import Gradients
from trainers.training.member import AVERAGE, Member
from trainers.training.members import Members, stacked
from trainers.training.optim import average_weights, clip_scale


class TrainingArray:
    """Trainings of one shape that are trained as one, at a fraction of the price of each.

    They may differ in every number of their configurations that is no shape, in their seeds and in
    their epochs; each is trained as it would be alone, up to rounding. Among as many members it is
    the same bit for bit on a processor, whatever becomes of the others. A training can still be
    saved, restored and evaluated by itself; one that has ended is left out of the next array.

    Args:
        trainings: Which have the same values of all parameters whose kind is "shape".

    Raises:
        ValueError: They are not of one shape, or not of the same data.
    """

    def __init__(self, trainings: Sequence[Member]) -> None:
        self.trainings = list(trainings)
        first = self.trainings[0]
        for other in self.trainings[1:]:
            _check_alike(first, other)
        self._members = Members(
            [each.model for each in trainings], [each.weights for each in trainings]
        )
        self._slots = {name: self._joined(name) for name in first.optimizer.slots}
        self._averaged = [row for row, each in enumerate(trainings) if each.averaging]
        self._gradients = Gradients(self._members, [each.goal for each in trainings])
        self._gradients.parts = max(each.parts for each in trainings)

    def _joined(self, name: str) -> Tensor:
        """(members, P): the slots of a name, of which each training's becomes a row."""
        slots = stacked([each.slots[name] for each in self.trainings])
        for each, row in zip(self.trainings, slots, strict=True):
            each.slots[name] = row
        return slots

    def run_epoch(self) -> list[Found]:
        """Train all for one epoch and validate; what each measured, or how it diverged.

        Seconds are shared out evenly. One that has diverged must be left out from then on.
        """
        start = perf_counter()
        epoch = Epoch(self.trainings, self._members.vectors)
        self._gradients.goals = [each.goal for each in self.trainings]
        first = self.trainings[0]
        with torch_randomness(key(first.seed, "epoch", first.epoch)):
            self._train(epoch)
        for each in self.trainings:
            each.parts = self._gradients.parts
        probes = [SaturationProbe() for _ in self.trainings]
        if epoch.running:
            self._validate(epoch, probes)
        seconds = (perf_counter() - start) / len(self.trainings)
        return [epoch.found(row, probe, seconds) for row, probe in enumerate(probes)]

    def _train(self, epoch: Epoch) -> None:
        """All steps of one epoch."""
        self._members.train()
        for step in range(epoch.steps):
            last = step == epoch.steps - 1
            self._gradients.probe = epoch.reach if last else None
            batch = epoch.batch(step)
            losses, gradient = self._gradients.of(batch, epoch.steps_done(step))
            epoch.count(losses, batch.indices.shape[-1])
            if not epoch.running:
                return
            norm, scale = clip_scale(gradient, epoch.watch.clip_norm)
            with epoch.watch.last_step(gradient) if last else nullcontext():
                self._update(epoch, gradient.mul_(scale), step)
            epoch.watch.add(norm)
        epoch.check()

    def _update(self, epoch: Epoch, gradient: Tensor, step: int) -> None:
        vectors, slots = self._members.vectors, self._slots
        moving = [vectors, *slots.values()]
        before = [] if epoch.frozen is None else [vector.clone() for vector in moving]
        number, rate = epoch.rates(step)
        numbers = epoch.numbers | {"learning_rate": rate}
        self.trainings[0].optimizer.update(vectors, gradient, slots, number, numbers)
        if epoch.frozen is not None:
            for vector, old in zip(moving, before, strict=True):
                vector.copy_(torch.where(epoch.frozen, old, vector))
        for row in self._averaged:
            each = self.trainings[row]
            average = each.slots[AVERAGE]
            average_weights(average, vectors[row], each.steps[step] + 1, each.averaging)

    def _validate(self, epoch: Epoch, probes: Sequence[SaturationProbe]) -> None:
        data = self.trainings[0].data
        with ExitStack() as stack:
            for each in self.trainings:
                stack.enter_context(each.averages_in_place())
            if all(each.told for each in self.trainings):
                measured: list[Examples] = [{} for _ in self.trainings]
            else:
                measured = measure_members(self._members, data.valid, data.task, probes=probes)
            for row, examples in enumerate(measured):
                epoch.end(row, examples)


def _check_alike(one: Member, other: Member) -> None:
    if one.data is not other.data:
        raise ValueError("trainings of an array must be of the same data, got two of them")
    ours, theirs = _shape(one), _shape(other)
    for name, value in ours.items():
        if theirs[name] != value:
            raise ValueError(
                f"trainings of an array must have the same {name}, got {value} and {theirs[name]}"
            )


def _shape(training: Member) -> dict[str, object]:
    """What can be told without the search space."""
    settings = training.settings
    return {
        "family": type(training.model.backbone).__name__,
        "shapes of weights": training.weights.shapes,
        "optimizer": settings["optimizer"]["name"],
        "batch_size": settings["batch_size"],
        "bptt_steps": settings.get("bptt_steps"),
    }
