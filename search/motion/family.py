"""The search of one family: its own sampler and scheduler, so that no other family sways it."""

from collections.abc import Mapping
from typing import TypeVar

from search.motion.schedulers import SCHEDULERS, Scheduler
from search.samplers import SAMPLERS, Sampler
from search.study import Study
from spaces import SearchSpace, did_you_mean

Kind = TypeVar("Kind")

FAILURES_TOLERATED = 10  # in a family of which no trial ever got to a rung


class FamilySearch:
    """What the search knows of one family; changed by the events of the log alone.

    Raises:
        ValueError: There is no such sampler or scheduler.
    """

    def __init__(self, name: str, space: SearchSpace, study: Study) -> None:
        sampler, scheduler = search_methods(study)
        self.name = name
        self.sampler = sampler(space, seed=study.seed, family=name)
        self.scheduler = scheduler(study.budget.epochs, study.search)
        self.trials: list[int] = []
        """Numbers of its search trials; the place in this list is the number of the proposal."""
        self.in_flight = 0
        self.failures = 0
        self.survived = False
        """Whether a trial ever got to a rung."""
        self.retired: str | None = None
        """Why the family proposes no more, if it does not."""

    @property
    def hopeless(self) -> bool:
        """Whether so many trials failed, and nothing but failed, that more of them are a waste."""
        return not self.survived and self.failures >= FAILURES_TOLERATED

    @property
    def may_hope(self) -> bool:
        """Whether to propose on; a family that only failed first waits for what is in flight."""
        return self.retired is None and not (self.hopeless and self.in_flight)

    def take_heart(self) -> None:
        """Propose again: the space, the budget or whatever made trials fail may have changed."""
        self.retired, self.failures = None, 0


def search_methods(study: Study) -> tuple[type[Sampler], type[Scheduler]]:
    """The sampler and the scheduler that a study names.

    Raises:
        ValueError: There is no such sampler or scheduler.
    """
    sampler = _look_up(SAMPLERS, study.search.sampler, "search.sampler")
    return sampler, _look_up(SCHEDULERS, study.search.scheduler, "search.scheduler")


def _look_up(table: Mapping[str, Kind], name: str, setting: str) -> Kind:
    if name not in table:
        raise ValueError(f"`{setting}` has no {name!r}{did_you_mean(name, set(table))}")
    return table[name]
