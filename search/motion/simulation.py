"""A study on virtual time: the same conductor with stand-ins for models, no Ray, no training."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Any

from search.motion.conductor import Conductor
from search.motion.events import Event
from search.motion.racing import ExampleLosses
from search.motion.randomness import key
from search.motion.sizing import Sizing
from search.motion.warm_start import Past
from search.study import Study
from search.trial import Lease, Outcome, Trial
from spaces import Config, Float, SearchSpace

METRIC = "value"
BEST_PLACE = (0.7, 0.3, -0.6)

Fault = Callable[[Lease, int], Outcome | None]
"""What ends a lease before this epoch, if anything."""


class StandIn(ABC):
    """A family whose learning curves are known; smaller values are better."""

    space: SearchSpace

    @abstractmethod
    def value(self, trial: Trial, epoch: int) -> float:
        """The validation value after so many epochs; NaN diverges."""

    @abstractmethod
    def seconds(self, trial: Trial) -> float:
        """What an epoch takes."""

    @abstractmethod
    def test(self, trial: Trial) -> float:
        """The value on the test split after the best validation epoch."""


@dataclass(frozen=True)
class PowerLaw(StandIn):
    """Curves that fall by a power of the epochs, towards the lower an end the better the settings.

    Args:
        floor: Where the best configuration ends, on average over seeds.
        rise: How far above its end a curve is after one epoch.
        rate: How fast it falls; a small rate is a slow starter.
        spread: How much higher the end is at one unit from the best settings.
        noise: Standard deviation between seeds.
        epoch_seconds: What an epoch takes at the default size.
    """

    floor: float = 1.0
    rise: float = 1.0
    rate: float = 1.0
    spread: float = 1.0
    noise: float = 0.0
    epoch_seconds: float = 1.0

    space = SearchSpace(
        {
            "model": SearchSpace({"size": Float(0, 1), "depth": Float(0, 1, default=0.1)}),
            "training": SearchSpace({"learning_rate": Float(1e-4, 1.0, log=True)}),
        }
    )

    def end(self, config: Config) -> float:
        """The value that a configuration tends to, without the noise of its seed."""
        model, training = config["model"], config["training"]
        place = (model["size"], model["depth"], math.log10(training["learning_rate"]) / 4)
        return self.floor + self.spread * math.dist(place, BEST_PLACE) ** 2

    def value(self, trial: Trial, epoch: int) -> float:
        """The curve, shifted by the noise of its seed."""
        return self.test(trial) + self.rise * math.pow(epoch, -self.rate)

    def seconds(self, trial: Trial) -> float:
        """Bigger models take longer: from a half to one and a half `epoch_seconds`."""
        return self.epoch_seconds * (0.5 + float(trial.config["model"]["size"]))

    def test(self, trial: Trial) -> float:
        """What the validation value tends to."""
        return self.end(trial.config) + self._shift(trial)

    def _shift(self, trial: Trial) -> float:
        if self.noise == 0:
            return 0.0
        rng = Random(key(trial.seed, "noise", str(trial.config)))
        return rng.gauss(0.0, self.noise)


class Simulation:
    """A study whose workers are slots on virtual time.

    Args:
        families: A stand-in for each family of the study.
        slots: Leases at a time.
        fault: What goes wrong, if anything.
        sizings: By family, what holds its proposals to limits.
        example_losses: As for `Conductor`.
        earlier: By family, trials of an earlier study.
    """

    def __init__(
        self,
        study: Study,
        families: Mapping[str, StandIn],
        *,
        slots: int = 1,
        fault: Fault | None = None,
        record: Callable[[Event], None] | None = None,
        sizings: Mapping[str, Sizing] | None = None,
        example_losses: ExampleLosses = lambda _number, _loss: None,
        earlier: Mapping[str, Sequence[Past]] | None = None,
    ) -> None:
        self.log: list[Event] = []
        spaces = {name: family.space for name, family in families.items()}
        self.conductor = Conductor(
            spaces=spaces | {name: sizing.space for name, sizing in (sizings or {}).items()},
            maximize=False,
            metric=METRIC,
            study=study,
            record=record or self.log.append,
            clock=lambda: self.now,
            sizings=sizings,
            example_losses=example_losses,
        )
        self.conductor.learn_from(earlier or {})
        self.now = 0.0
        self._families = families
        self._slots = slots
        self._patience = study.budget.patience
        self._fault = fault
        self._busy: list[tuple[float, int, Lease, int]] = []

    def resume(self, log: Iterable[Event]) -> None:
        """Begin where an earlier log ends; to be called before `run`."""
        self.log.extend(log)
        self.conductor.replay(self.log)
        self.now = self.conductor.state.last_event_at

    def run(self) -> None:
        """Go on until the study is over."""
        while True:
            while self._workers() < self._slots and (lease := self.conductor.next_lease()):
                for each in (lease, *self.conductor.mates(lease)):
                    self._train(each, each.from_epoch)
            if not self._busy:
                return
            self.now, _, lease, epoch = heappop(self._busy)
            self._advance(lease, epoch)

    def _workers(self) -> int:
        """Slots that are taken."""
        leases = (lease for _, _, lease, _ in self._busy)
        return len({lease.number if lease.array is None else lease.array for lease in leases})

    def _train(self, lease: Lease, epoch: int) -> None:
        """Go on from `epoch`; with nothing left to train, the lease ends at once."""
        seconds = 0.0
        if epoch < lease.to_epoch and not self._has_settled(lease.trial, epoch):
            epoch += 1
            seconds = self._families[lease.trial.family].seconds(lease.trial)
        heappush(self._busy, (self.now + seconds, lease.number, lease, epoch))

    def _advance(self, lease: Lease, epoch: int) -> None:
        """An epoch of a lease is over, or the lease had none left."""
        outcome = self._fault(lease, epoch) if self._fault else None
        if outcome is None and epoch > lease.from_epoch:
            self.conductor.report(lease, self._measurement(lease.trial, epoch))
        if outcome is not None:
            self.conductor.end(lease, outcome)
        elif (
            epoch == lease.to_epoch
            or self._has_settled(lease.trial, epoch)
            or not self.conductor.wanted(lease)
        ):
            self.conductor.end(lease, self._reached(lease, epoch))
        else:
            self._train(lease, epoch)

    def _measurement(self, trial: Trial, epoch: int) -> dict[str, Any]:
        family = self._families[trial.family]
        value = family.value(trial, epoch)
        return {
            "epoch": epoch,
            "valid": {METRIC: value},
            "train_loss": value,
            "seconds": family.seconds(trial),
        }

    def _has_settled(self, trial: Trial, epoch: int) -> bool:
        """Whether the study's patience with a trial has run out."""
        if self._patience is None:
            return False
        family = self._families[trial.family]
        values = [family.value(trial, number) for number in range(1, epoch + 1)]
        best = 1 + values.index(min(values)) if values else 0
        return epoch - best >= self._patience

    def _reached(self, lease: Lease, epoch: int) -> Outcome:
        early = self._has_settled(lease.trial, epoch)
        if not lease.test or (epoch < lease.to_epoch and not early):
            return Outcome.reached(epoch, early=early)
        test = {METRIC: self._families[lease.trial.family].test(lease.trial)}
        return Outcome.reached(epoch, test=test, test_epoch=epoch, early=early)
