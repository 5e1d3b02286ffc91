"""How often a verdict is right: studies of stand-ins whose truth is known, from search to claim.

The conductor, the samplers, the schedulers, the confirmation, the log and the statistics are those
of real studies. Only training is replaced by a formula, and the clock by a virtual one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from statistics import fmean
from typing import Self

import numpy as np

from search.motion.events import Event
from search.motion.randomness import key
from search.motion.simulation import METRIC, PowerLaw, Simulation
from search.results.standing import standings
from search.results.statistics import Interval
from search.results.summary import StudySummary
from search.results.verdict import Verdict
from search.store.example_losses import DTYPE, usable_losses
from search.study import Study
from search.trial import Trial

SLOTS = 2
CLOSE = 1e-9  # configurations whose true means are so near are equal
NOISE = 0.1
LONGEST = 1.5  # the largest model takes so much longer than one of middle size


@dataclass(frozen=True)
class Examinee(PowerLaw):
    """A stand-in family with a test split of single examples.

    On an example, a run loses the true mean of its configuration, what its seed adds, what the
    example adds for everybody, what it adds for this family, and a rest of its own.

    Args:
        split: Which draw of test examples this is; the same for all families of a study.
        examples: How many.
        hardness: Standard deviation of what an example adds for everybody.
        taste: Of what it adds for this family and configuration.
        rest: Of what it adds for a single run.
    """

    split: int = 0
    examples: int = 100
    hardness: float = 1.0
    taste: float = 0.1
    rest: float = 0.3

    def shared(self, trial: Trial) -> np.ndarray:
        """(examples,): what every run of this configuration loses, without noise of its seed."""
        original = trial.number if trial.finalist_of is None else trial.finalist_of
        losses = self.end(trial.config) + self._normal(self.hardness, "hardness")
        losses += self._normal(self.taste, "taste", original)
        return losses

    def losses(self, trial: Trial) -> np.ndarray:
        """(examples,): what one run loses on every test example."""
        losses = self.shared(trial) + self.seed_effect(trial)
        losses += self._normal(self.rest, "rest", trial.number)
        return losses

    def seed_effect(self, trial: Trial) -> float:
        """What the seed of a run adds, on validation and on every test example."""
        return self.noise * _deviate(self.split, "seed", trial.number)

    def value(self, trial: Trial, epoch: int) -> float:
        """The learning curve on validation."""
        fall = self.rise * math.pow(epoch, -self.rate)
        return self.end(trial.config) + self.seed_effect(trial) + fall

    def test(self, trial: Trial) -> float:
        """The mean over the test examples."""
        return float(self.losses(trial).mean())

    def _normal(self, deviation: float, *purpose: int | str) -> np.ndarray:
        return deviation * _deviates(self.examples, self.split, *purpose)


@lru_cache(maxsize=256)
def _deviate(seed: int, *purpose: int | str) -> float:
    return Random(key(seed, *purpose)).gauss(0.0, 1.0)


@lru_cache(maxsize=256)
def _deviates(count: int, seed: int, *purpose: int | str) -> np.ndarray:
    """(count,) standard normal deviates; only to be read, as all who ask share them."""
    return np.random.default_rng(key(seed, *purpose)).normal(size=count)


@dataclass(frozen=True)
class Kind:
    """A kind of study, to be repeated with one random draw after another.

    Args:
        floors: By family, the true mean of its best configuration.
        paces: By family, seconds of an epoch of a model of middle size.
        budget: As in a study file.
        spread: How much the settings of a family matter, see `PowerLaw`; 0: not at all.
        noise: Standard deviation between seeds.
    """

    name: str
    floors: Mapping[str, float]
    paces: Mapping[str, float]
    budget: Mapping[str, float]
    spread: float = 0.0
    noise: float = NOISE
    sampler: str = "random"
    seeds: int = 5
    racing: int | None = None

    def study(self, seed: int) -> Study:
        """The study file of one repetition."""
        return Study.from_mapping(
            {
                "name": "calibration",
                "benchmark": "none",
                "families": list(self.floors),
                "seed": seed,
                "budget": dict(self.budget),
                "search": {"sampler": self.sampler},
                "confirm": {"seeds": self.seeds, "racing": self.racing},
            }
        )

    def families(self, seed: int) -> dict[str, Examinee]:
        """The stand-ins of one repetition."""
        return {
            name: Examinee(
                floor=floor,
                spread=self.spread,
                noise=self.noise,
                epoch_seconds=self.paces[name],
                split=key(seed, "split"),
            )
            for name, floor in self.floors.items()
        }


FAMILIES = ("a", "b", "c", "d", "e")
PACES = dict(zip(FAMILIES, (1.0, 0.5, 1.0, 2.0, 3.0), strict=True))
SEED_DEVIATION = math.hypot(NOISE, Examinee.rest / math.sqrt(Examinee.examples))
"""Standard deviation between seeds of the mean over a test split."""
EQUAL = dict.fromkeys(FAMILIES, 1.0)
CLOSE_LEADER = EQUAL | {"c": 1.0 - 2 * SEED_DEVIATION}
LEADER = EQUAL | {"c": 1.0 - 5 * SEED_DEVIATION}
TRIALS = {"trials_per_family": 9, "epochs": 3}
SECONDS = {"device_seconds": 90.0, "epochs": 3}
KINDS = {
    kind.name: kind
    for kind in (
        Kind("equal", EQUAL, PACES, TRIALS),
        Kind("leader", LEADER, PACES, SECONDS),
        Kind("lucky", EQUAL, PACES, TRIALS, spread=0.5),
        Kind("equal, racing", EQUAL, PACES, TRIALS, racing=15),
        Kind("leader, racing", LEADER, PACES, SECONDS, racing=15),
        Kind("close, racing", CLOSE_LEADER, PACES, SECONDS, racing=15),
        Kind("close", CLOSE_LEADER, PACES, SECONDS),
        Kind("equal, TPE", EQUAL, PACES, TRIALS, sampler="tpe"),
        Kind("leader, TPE", LEADER, PACES, TRIALS, spread=0.02, sampler="tpe"),
    )
}
"""All families are equal; one is five standard deviations ahead; or all are equal, but how good the
finalist of each is depends on the luck of its search."""


@dataclass(frozen=True)
class Judged:
    """One study and its verdict, held against the truth.

    Attributes:
        claims: Pairs of which the verdict says that the first beats the second.
        false_claims: Those where the finalist of the first is not truly better.
        winner: The family that the verdict names as the winner, if it does.
        over_seeds: For each family, whether the interval over seeds holds the true mean of its
            configuration on the examples of this test split.
        over_examples: Whether the interval over seeds and examples holds that over all examples.
        share_error: How far the family farthest from its share of the budget is from it, in trials.
    """

    claims: int
    false_claims: int
    winner: str | None
    over_seeds: list[bool]
    over_examples: list[bool]
    share_error: float


class Examined(StudySummary):
    """A study whose finalists' losses need no files, rounded as files have them."""

    def __init__(self, name: str, losses: Callable[[int], np.ndarray]) -> None:
        super().__init__(name)
        self._losses = losses

    def example_losses(self, trial: int, loss: float) -> np.ndarray | None:
        """What a finalist lost on every test example."""
        return usable_losses(self._losses(trial).astype(DTYPE), loss)


def judge(kind: Kind, seed: int) -> Judged:
    """Search, confirm and judge one study."""
    families = kind.families(seed)

    def losses(number: int) -> np.ndarray:
        trial = simulation.conductor.state.trials[number].trial
        return families[trial.family].losses(trial)

    summary = Examined(kind.name, losses)
    simulation = Simulation(
        kind.study(seed),
        families,
        slots=SLOTS,
        record=lambda event: _note(summary, event),
        example_losses=lambda number, _: losses(number),
    )
    simulation.run()
    trials = [progress.trial for progress in simulation.conductor.state.trials]
    places = standings(summary)
    verdict = Verdict.over(summary, places)
    chosen = {place.family: trials[place.best.trial] for place in places if place.best}
    means = {name: families[name].end(trial.config) for name, trial in chosen.items()}
    here = {name: families[name].shared(trial).mean() for name, trial in chosen.items()}
    claims = [(pair.better, pair.worse) for pair in verdict.pairs if pair.beats]
    return Judged(
        claims=len(claims),
        false_claims=sum(means[better] > means[worse] - CLOSE for better, worse in claims),
        winner=verdict.winner,
        over_seeds=[_holds(place.test, here[place.family]) for place in places],
        over_examples=[_holds(place.over_examples, means[place.family]) for place in places],
        share_error=_share_error(kind, simulation),
    )


@dataclass(frozen=True)
class Rates:
    """What many studies of one kind amount to; all but the last are shares of them, in [0, 1].

    Attributes:
        claiming: Studies with any claim that one family beats another.
        false: Studies with any claim that is false.
        named: Studies whose winner is the truly best family.
        wrong: Studies that name another winner.
        over_seeds: Intervals over seeds that hold the truth.
        over_examples: Intervals over seeds and examples that hold it.
        share_error: The farthest that a family ever was from its share, in trials.
    """

    studies: int
    claiming: float
    false: float
    named: float
    wrong: float
    over_seeds: float
    over_examples: float
    share_error: float

    @classmethod
    def of(cls, kind: Kind, judged: Sequence[Judged]) -> Self:
        """Count what became of the studies."""
        best = min(kind.floors, key=kind.floors.__getitem__)
        return cls(
            studies=len(judged),
            claiming=fmean(each.claims > 0 for each in judged),
            false=fmean(each.false_claims > 0 for each in judged),
            named=fmean(each.winner == best for each in judged),
            wrong=fmean(each.winner not in (None, best) for each in judged),
            over_seeds=fmean(hit for each in judged for hit in each.over_seeds),
            over_examples=fmean(hit for each in judged for hit in each.over_examples),
            share_error=max(each.share_error for each in judged),
        )


def _note(summary: StudySummary, event: Event) -> None:
    """Put an event where a log would be read; the opening says what is measured."""
    if event["event"] == "opened":
        event = event | {"metric": METRIC, "maximize": False}
    summary.add(event)


def _holds(interval: Interval | None, truth: float) -> bool:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= truth <= interval.high


def _share_error(kind: Kind, simulation: Simulation) -> float:
    """How far the family farthest from its share is from it, in trials, the longest there are."""
    ledger = simulation.conductor.state.ledger
    share = ledger.device_seconds_per_family
    if share is None:
        most = ledger.budget.trials_per_family or 0
        return max(abs(account.proposed - most) for account in ledger.accounts.values())
    longest = {name: LONGEST * pace * ledger.budget.epochs for name, pace in kind.paces.items()}
    return max(
        abs(account.device_seconds - share) / longest[name]
        for name, account in ledger.accounts.items()
    )
