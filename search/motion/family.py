"""The search of one family: its own sampler and scheduler, so that no other family sways it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from search.motion.scheduler import Scheduler
from search.motion.schedulers import SCHEDULERS
from search.motion.sizing import Sizing
from search.samplers import SAMPLERS, Sampler
from search.study import COSTS, Study
from search.trial import State
from spaces import Config, SearchSpace, Value, contains, default, did_you_mean, project

Kind = TypeVar("Kind")

STARTING_POINT = "starting point"
FAILURES_TOLERATED = 10  # in a family of which no trial ever got to a rung


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a family proposes.

    Args:
        config: None where the sampler knows no other, or the limits admit none.
        redrawn: How many were drawn in vain, because the limits did not admit them.
        origin: Whence it is: `starting point 1`, `default` or `sampler`; and why no starting point
            where there would be one.
    """

    config: Config | None
    redrawn: int = 0
    origin: str = ""


class FamilySearch:
    """What the search knows of one family; changed by the events of the log alone.

    Args:
        sizing: What holds its proposals to the limits on parameters, where there are any.

    Raises:
        ValueError: There is no such sampler or scheduler.
    """

    def __init__(
        self, name: str, space: SearchSpace, study: Study, sizing: Sizing | None = None
    ) -> None:
        sampler, scheduler = search_methods(study)
        self.name = name
        self.sizing = sizing
        self._costs = [name for name in COSTS if name in (study.search.objectives or ())]
        drawn = sizing.drawn if sizing else space
        self.sampler = sampler(drawn, seed=study.seed, family=name)
        self.scheduler = scheduler(study.budget.epochs, study.search)
        self.trials: list[int] = []
        """Numbers of its search trials."""
        self.proposals = 0
        """How many of them were proposed; the others are copies."""
        self.in_flight = 0
        self.failures = 0
        self.survived = False
        """Whether a trial ever got to a rung."""
        self.retired: str | None = None
        """Why the family proposes no more, if it does not."""
        self.warm = 0
        """Trials of an earlier study that the sampler was told of, before all proposals."""
        self.starts: Sequence[Mapping[str, Value]] = ()
        """Points of the table of starting points, which are proposed first."""
        self.redrawn = 0
        """Proposals that were drawn again, in all, because the limits did not admit them."""

    @property
    def hopeless(self) -> bool:
        """Whether so many trials failed, and nothing but failed, that more of them are a waste."""
        return not self.survived and self.failures >= FAILURES_TOLERATED

    @property
    def may_hope(self) -> bool:
        """Whether to propose on; a family that only failed first waits for what is in flight."""
        return self.retired is None and not (self.hopeless and self.in_flight)

    def propose(self, number: int) -> Proposal:
        """The configuration to train as proposal `number`.

        The first are the starting points, brought into today's space, unless an earlier study was
        learnt from. Where limits do not admit one, or another came to be the same in this space,
        the sampler proposes.
        """
        redrawn = 0

        def suits(config: Config) -> bool:
            nonlocal redrawn
            if self.sizing is None:
                return True
            fitted = self.sizing.fit(config)
            redrawn += fitted is None
            return fitted is not None and not self.sampler.knows(self.sizing.as_drawn(fitted))

        sampler, skipped = self.sampler, ""
        if number < len(self.starts) and not self.warm:
            start = project(sampler.space, self.starts[number])
            name = f"{STARTING_POINT} {number + 1}"
            if sampler.knows(start):
                skipped = f", as {name} is known in this space"
            elif suits(start):
                return Proposal(self._sized(start), 0, name)
            else:
                skipped = f", as {name} does not meet the limits"
        drawn = sampler.propose(self.warm + number, suits)
        first = self.warm + number == 0 and drawn == default(sampler.space)
        origin = ("default" if first else "sampler") + skipped
        return Proposal(None if drawn is None else self._sized(drawn), redrawn, origin)

    def _sized(self, drawn: Config) -> Config | None:
        """What is trained where a configuration was drawn."""
        return drawn if self.sizing is None else self.sizing.fit(drawn)

    def why_no_more(self, redrawn: int) -> str:
        """Why nothing was proposed, after so many draws that the limits did not admit."""
        if self.hopeless:
            return f"{self.failures} of its trials came to nothing and none got to a rung"
        cause = f"its space has no configuration left after {self.proposals}"
        if self.sizing is None or not redrawn:
            return cause
        return f"{cause}: {redrawn} more were drawn, and none of them met {self.sizing.limits}"

    def costs(self, config: Config) -> dict[str, float]:
        """What is wanted to be known of a model before it is trained."""
        return self.sizing.costs(config) if self.sizing else {}

    def remember(self, config: Config, costs: Mapping[str, float]) -> None:
        """What was found out when a configuration was proposed."""
        if self.sizing:
            self.sizing.remember(config, costs)

    def tell(
        self,
        number: int,
        config: Config,
        history: Sequence[tuple[int, float]],
        state: State,
        train_seconds: float = 0.0,
    ) -> None:
        """Tell the sampler what became of a proposal, see `Sampler.tell`.

        One that today's limits do not admit, or today's ranges, teaches it nothing.
        """
        self._tell(self.warm + number, config, history, state, train_seconds)

    def learn_from(self, past: Sequence[Mapping[str, Any]]) -> None:
        """Tell the sampler of an earlier study's trials, see `Past`; they were no proposals."""
        for number, each in enumerate(past):
            self.remember(each["config"], each["costs"])
            state = State.complete if each["complete"] else State.pruned
            history = [(epoch, loss) for epoch, loss in each["history"]]
            self._tell(number, each["config"], history, state, each["train_seconds"])
        self.warm = len(past)

    def takes(self, config: Config) -> bool:
        """Whether a configuration could be proposed today."""
        return contains(self.space, config) and self.admits(config)

    @property
    def space(self) -> SearchSpace:
        """Where the configurations that are trained lie today."""
        return self.sizing.space if self.sizing else self.sampler.space

    def _tell(
        self,
        number: int,
        config: Config,
        history: Sequence[tuple[int, float]],
        state: State,
        train_seconds: float,
    ) -> None:
        known = {"train_seconds": train_seconds, **self.costs(config)}
        costs = [known[name] for name in self._costs if name in known]
        if not self.admits(config):
            self.sampler.outside.add(number)
        elif self.sizing is not None and contains(self.sizing.space, config):
            config = self.sizing.as_drawn(config)
        self.sampler.tell(number, config, history, state, costs)

    def admits(self, config: Config) -> bool:
        """Whether today's limits admit a configuration."""
        return self.sizing is None or self.sizing.admits(config)

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
