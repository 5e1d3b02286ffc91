"""What a sampler and a scheduler are worth: the spending until a search is as good as another's.

Spending is counted in epochs. Both searches get the same device seconds, an epoch of any family
counts as one of them, and go through the conductor of real studies.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from search.motion.events import Event
from search.motion.simulation import PowerLaw, Simulation, StandIn
from search.study import Study
from search.trial import Trial


@dataclass(frozen=True)
class Way:
    """How a search goes about it."""

    sampler: str
    scheduler: str

    def study(self, families: Sequence[str], *, seed: int, spending: int, epochs: int) -> Study:
        """A study that spends so many epochs in all, at most `epochs` of them on one trial."""
        return Study.from_mapping(
            {
                "name": "gain",
                "benchmark": "none",
                "families": list(families),
                "seed": seed,
                "budget": {"device_seconds": float(spending), "epochs": epochs},
                "search": {"sampler": self.sampler, "scheduler": self.scheduler},
                "confirm": {"top_per_family": 0},
            }
        )


OURS = Way("tpe", "asha")
RIVAL = Way("random", "none")


@dataclass(frozen=True)
class Misleading(PowerLaw):
    """A stand-in whose large models begin slowly, so that early ranks are not those of the end.

    An epoch takes one second, whatever the size.

    Args:
        slowness: How much higher the largest model is above its end than the smallest, as a share
            of `rise`.
    """

    slowness: float = 1.0

    def value(self, trial: Trial, epoch: int) -> float:
        """The curve, higher at first the larger the model."""
        size = float(trial.config["model"]["size"])
        rise = self.rise * (1 + self.slowness * size)
        return self.test(trial) + rise * math.pow(epoch, -self.rate)

    def seconds(self, _trial: Trial) -> float:
        """One."""
        return 1.0


GENERATED: dict[str, StandIn] = {
    "a": Misleading(floor=1.0, noise=0.02),
    "b": Misleading(floor=1.1, noise=0.02),
    "c": Misleading(floor=1.2, rise=2.0, noise=0.02),
}


@dataclass(frozen=True)
class Course:
    """One search, epoch by epoch.

    Attributes:
        best: The best value so far after each epoch spent.
        share_error: How far the family farthest from its share of the epochs is from it, in trials
            of full length.
    """

    best: list[float]
    share_error: float

    def spent_until(self, target: float) -> float:
        """Epochs until `target` was reached; infinite if it never was."""
        reached = (spent for spent, value in enumerate(self.best, 1) if value <= target)
        return next(reached, math.inf)


def run(study: Study, families: Mapping[str, StandIn], *, until: float = -math.inf) -> Course:
    """Search to the end of the budget, or until a value is reached.

    Args:
        families: Their epochs take one second each.
    """
    best: list[float] = []

    def note(event: Event) -> None:
        if event["event"] != "reported":
            return
        value = math.inf if event["value"] is None else event["value"]
        best.append(min(value, best[-1] if best else math.inf))
        if best[-1] <= until:
            simulation.conductor.stop()

    simulation = Simulation(study, families, record=note)
    simulation.run()
    accounts = simulation.conductor.state.ledger.accounts.values()
    share = len(best) / len(families)
    error = max(abs(account.trained_epochs - share) for account in accounts)
    return Course(best, error / study.budget.epochs)


@dataclass(frozen=True)
class Gain:
    """What ours needed, seed by seed, for what the rival has at its end in the median.

    Attributes:
        target: That value.
        spending: The rival's epochs.
        ours: Ours, until the target was reached.
        share_error: The farthest that a family ever was from its share, in trials.
    """

    target: float
    spending: int
    ours: list[float]
    share_error: float

    @property
    def share(self) -> float:
        """Of the rival's spending, what ours needs in the median."""
        return median(self.ours) / self.spending


def gain(
    families: Mapping[str, StandIn], seeds: Sequence[int], *, spending: int, epochs: int
) -> Gain:
    """Let both search on each seed, the rival first.

    Args:
        spending: Epochs of a whole search.
        epochs: The most of one trial.
    """
    size = {"spending": spending, "epochs": epochs}
    names = list(families)
    theirs = [run(RIVAL.study(names, seed=seed, **size), families) for seed in seeds]
    target = median(course.best[-1] for course in theirs)
    ours = [run(OURS.study(names, seed=seed, **size), families, until=target) for seed in seeds]
    return Gain(
        target=target,
        spending=spending,
        ours=[course.spent_until(target) for course in ours],
        share_error=max(course.share_error for course in [*theirs, *ours]),
    )
