"""A study rehearsed: its own scheduling on virtual time, to see how much work it will be."""

from collections.abc import Mapping
from dataclasses import dataclass

from search.motion.simulation import Simulation, StandIn
from search.study import Study
from search.trial import Trial
from spaces import Float, SearchSpace

MOST_SIMULATED = 60  # trials of a family; of more, these are a sample


@dataclass(frozen=True, slots=True)
class Work:
    """What one family will be.

    Args:
        trials: Of the search.
        search_seconds: Device seconds of the search.
        confirm_seconds: Device seconds of the finalists.
    """

    trials: int
    search_seconds: float
    confirm_seconds: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a study will be.

    Args:
        wall_seconds: From the first lease to the last.
    """

    families: dict[str, Work]
    wall_seconds: float


def rehearse(study: Study, epoch_seconds: Mapping[str, float], *, slots: int = 1) -> Rehearsal:
    """Run the study's scheduling with values that say nothing.

    Args:
        epoch_seconds: By family, what an epoch takes on average.
        slots: Trials at a time.
    """
    simulated = _simulate(study, epoch_seconds, slots)
    twice = 1 + study.confirm.refit  # at most: the second training may be shorter
    factor = _factor(study, simulated)
    accounts = simulated.conductor.state.ledger.accounts
    search = next(event for event in simulated.log if event["event"] == "searched")["time"]
    return Rehearsal(
        {
            family: Work(
                round(factor * accounts[family].proposed),
                factor * accounts[family].device_seconds,
                twice * _confirm_seconds(simulated, family),
            )
            for family in study.families
        },
        factor * search + twice * (simulated.now - search),
    )


class Rehearsed(StandIn):
    """A family whose epochs take what they take on average; its values say nothing."""

    space = SearchSpace({"draw": Float(0, 1), "training": SearchSpace({"rate": Float(1, 2)})})

    def __init__(self, epoch_seconds: float) -> None:
        self._seconds = epoch_seconds

    def value(self, trial: Trial, epoch: int) -> float:
        """Falls with the epochs."""
        return self.test(trial) + 1 / epoch

    def seconds(self, trial: Trial) -> float:
        """The mean, so that what is foreseen of a few trials is not a matter of luck."""
        return self._seconds

    def test(self, trial: Trial) -> float:
        """Something different for each configuration."""
        return float(trial.config["draw"])


def _simulate(study: Study, epoch_seconds: Mapping[str, float], slots: int) -> Simulation:
    most = study.budget.trials_per_family or MOST_SIMULATED
    budget = study.budget.model_copy(update={"trials_per_family": min(most, MOST_SIMULATED)})
    search = study.search.model_copy(update={"sampler": "random"})
    simulated = Simulation(
        study.model_copy(update={"budget": budget, "search": search}),
        {family: Rehearsed(epoch_seconds[family]) for family in study.families},
        slots=slots,
    )
    simulated.run()
    return simulated


def _factor(study: Study, simulated: Simulation) -> float:
    """How many times more than was simulated the budget allows."""
    budget, ledger = study.budget, simulated.conductor.state.ledger
    factors = []
    if budget.trials_per_family is not None:
        factors.append(budget.trials_per_family / min(budget.trials_per_family, MOST_SIMULATED))
    if budget.seconds is not None:
        factors.append(budget.seconds / simulated.conductor.state.search_seconds)
    if budget.device_seconds is not None:
        spent = sum(account.device_seconds for account in ledger.accounts.values())
        factors.append(budget.device_seconds / spent)
    return max(min(factors), 1.0)


def _confirm_seconds(simulated: Simulation, family: str) -> float:
    return sum(
        at.device_seconds
        for at in simulated.conductor.state.trials
        if not at.in_search and at.trial.family == family
    )
