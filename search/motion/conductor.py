"""The study in motion: which lease next, and what a result means; without Ray and without torch."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from search.motion import events
from search.motion.confirm import confirming_run, first_finalists
from search.motion.copying import replacements
from search.motion.events import Event
from search.motion.family import FamilySearch, Proposal
from search.motion.intake import OUT_OF_TIME, PASSED_OVER, STOPPED, Intake
from search.motion.mates import (
    ArraySize,
    alike,
    interrupted_alike,
    is_new,
    mate,
    other_seeds,
)
from search.motion.progress import TrialProgress
from search.motion.racing import ExampleLosses, next_round
from search.motion.sizing import Sizing
from search.motion.state import StudyState
from search.motion.warm_start import Past, warm_starts
from search.study import Study
from search.trial import Lease, State, Trial
from spaces import SearchSpace


class Conductor(Intake):
    """Hands out the leases of a study, and turns what comes back into the next ones.

    Each decision is an event: it is first given to `record`, then applied. So the log alone makes
    the state, and `replay` of a log that ends anywhere gives the conductor that wrote it.

    Args:
        spaces: The search space of each family of the study.
        maximize: Whether larger values of `metric` are better.
        metric: The objective, one of the measurements' validation metrics.
        record: Called with each event; what it raises leaves the state as it was.
        clock: Unix seconds.
        sizings: By family, what holds its proposals to limits on parameters, where there are any.
        example_losses: What tells finalists apart who race for more seeds.

    Attributes:
        array_sizes: By family, how many trials are trained as one; without any, each by itself.

    Raises:
        ValueError: The study names a sampler or a scheduler that does not exist.
    """

    def __init__(
        self,
        *,
        spaces: Mapping[str, SearchSpace],
        maximize: bool,
        metric: str,
        study: Study,
        record: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
        sizings: Mapping[str, Sizing] | None = None,
        example_losses: ExampleLosses = lambda _number, _loss: None,
    ) -> None:
        state = StudyState(spaces, study, maximize=maximize, sizings=sizings or {})
        super().__init__(study, state, metric=metric, record=record, clock=clock)
        self.array_sizes: Mapping[str, ArraySize] = {}
        self._earlier: Mapping[str, Sequence[Past]] = {}
        self._opening = events.opened(spaces, study)
        self._example_losses = example_losses
        self._opened = False

    @property
    def finished(self) -> bool:
        """Whether nothing is in flight and, as `next_lease` has found, nothing left to hand out."""
        state = self.state
        if state.in_flight:
            return False
        todo = state.searching or state.finalists or state.interrupted or not state.race_over
        return self._stopping or (self._opened and not todo)

    def replay(self, log: Iterable[Event]) -> None:
        """Take in the log of this study so far; what was in flight at its end goes out first.

        Raises:
            ValueError: The log has trials of a family that is not in the study.
        """
        assert not self._opened
        for event in log:
            family = event.get("family")
            if family is not None and family not in self.state.families:
                raise ValueError(
                    f"the study must keep the family {family!r}, of which it has trials; "
                    f"its families are {', '.join(self.state.families)}"
                )
            self.state.apply(event)

    def learn_from(self, earlier: Mapping[str, Sequence[Past]]) -> None:
        """Have samplers hear, before the study begins, of an earlier study's trials, by family."""
        self._earlier = earlier

    def next_lease(self) -> Lease | None:
        """The next piece of work; None if there is none now."""
        if self._stopping:
            return None
        self._open()
        if self.state.searching and not self._out_of_time():
            for event in replacements(self._study, self.state, PASSED_OVER):
                self._emit(event)
        interrupted = self._next_interrupted()
        if interrupted is not None:
            return self._hand_out(interrupted)
        if self.state.searching:
            lease = self._search_lease()
            if lease is not None or self.state.search_in_flight():
                return lease
            self._emit(events.searched(first_finalists(self._study, self.state)))
        self._go_on_racing()
        return self._finalist_lease()

    def mates(self, lease: Lease) -> list[Lease]:
        """What trains as one with a lease that has just been handed out; see `mates`."""
        found: list[Lease] = []
        if lease.array is not None:
            most = self._array_size(lease.trial)
            while len(found) + 1 < most and (trial := self._next_mate(lease)) is not None:
                found.append(self._hand_out(trial, lease.array))
        return found

    def stop_trial(self, number: int) -> None:
        """End a trial as `stopped`, at once or when its worker gives it back, unless it has ended.

        Raises:
            ValueError: There is no such trial.
        """
        if not 0 <= number < len(self.state.trials):
            raise ValueError(
                f"a trial to stop must be one of the {len(self.state.trials)} begun, got {number}"
            )
        self._open()
        trial = self.state.trials[number]
        lease = self.state.in_flight.get(number)
        if lease is not None:
            self._emit(events.stop_requested(lease, trial.epoch))
        elif not trial.state.final:
            self._end(trial, State.stopped, STOPPED)

    def _open(self) -> None:
        if not self._opened:
            self._opened = True
            for event in (self._opening, *warm_starts(self.state.families, self._earlier)):
                self._emit(event)

    def _next_interrupted(self) -> TrialProgress | None:
        """The first trial that lost its worker, unless it is to end anyway."""
        for number in sorted(self.state.interrupted):
            trial = self.state.trials[number]
            if trial.diverged:
                self._end(trial, State.failed, self._diverged)
            elif trial.stop_requested:
                self._end(trial, State.stopped, STOPPED)
            elif trial.in_search and self._out_of_time():
                self._end(trial, State.pruned, OUT_OF_TIME)
            else:
                return trial
        return None

    def _hand_out(self, trial: TrialProgress, array: int | None = None) -> Lease:
        interrupted = trial.state == State.interrupted
        from_here_before = trial.epoch == trial.from_epoch
        number = self.state.next_lease
        begins_one = self._array_size(trial.trial) > 1 and not trial.alone
        lease = Lease(
            number=number,
            trial=trial.trial,
            attempt=trial.attempt + (interrupted or from_here_before),
            from_epoch=trial.epoch,
            to_epoch=self._next_stop(trial, goes_on=interrupted and trial.attempt > 0),
            test=not trial.in_search and not trial.tested,
            alone=trial.alone,
            array=number if array is None and begins_one else array,
        )
        self._emit(events.leased(lease))
        return lease

    def _array_size(self, trial: Trial) -> int:
        size = self.array_sizes.get(trial.family)
        return 1 if size is None else size.of(trial)

    def _next_mate(self, lease: Lease) -> TrialProgress | None:
        """Another trial for the array of a lease."""
        state = self.state
        if lease.trial.finalist_of is not None:
            for finalist in other_seeds(state, lease):
                self._emit(events.proposed(confirming_run(state, finalist), None))
                return state.trials[-1]
        if self._out_of_time() or not state.searching:
            return next(interrupted_alike(state, lease), None)
        family = state.families[lease.trial.family]
        for trial in interrupted_alike(state, lease):
            return trial
        number = self._begin(family, like=lease) if is_new(lease) else self._promoted(family)
        if number is None or not alike(state, lease, number):
            return None
        return state.trials[number]

    def _next_stop(self, trial: TrialProgress, *, goes_on: bool) -> int:
        if goes_on:
            return trial.to_epoch
        if not trial.in_search:
            return self._study.budget.epochs
        scheduler = self.state.families[trial.trial.family].scheduler
        return scheduler.next_stop(trial.trial.number, trial.epoch)

    def _search_lease(self) -> Lease | None:
        out_of_time = self._out_of_time()
        for name in self.state.ledger.order():
            family = self.state.families[name]
            lease = None if out_of_time else self._family_lease(family)
            if lease is not None:
                return lease
            if family.in_flight == 0:
                for number in family.scheduler.waiting():
                    cause = OUT_OF_TIME if out_of_time else PASSED_OVER
                    self._end(self.state.trials[number], State.pruned, cause)
        return None

    def _family_lease(self, family: FamilySearch) -> Lease | None:
        """Promote a trial, else begin a new one, else bring the family's search to its close."""
        number = self._promoted(family)
        if number is None:
            number = self._begin(family)
        if number is None and family.in_flight == 0:
            scheduler, may_train = family.scheduler, self.state.ledger.may_train(family.name)
            number = scheduler.closing_promotion() if may_train else scheduler.completion()
        return None if number is None else self._hand_out(self.state.trials[number])

    def _promoted(self, family: FamilySearch) -> int | None:
        return family.scheduler.promotion() if self.state.ledger.may_train(family.name) else None

    def _begin(self, family: FamilySearch, like: Lease | None = None) -> int | None:
        """The number of a new trial of the family, where the budget has room for one."""
        held_back = family.scheduler.missing_epochs()
        may = family.may_hope and self.state.ledger.may_propose(
            family.name, held_back_epochs=held_back
        )
        return self._propose(family, like) if may else None

    def _propose(self, family: FamilySearch, like: Lease | None) -> int | None:
        """The number of a new trial of the family; None if it retires instead.

        Args:
            like: Whose shape it must have; where it cannot, there is none, and nothing retires.
        """
        proposal = family.proposals
        made = Proposal(None) if family.hopeless else family.propose(proposal)
        if like is not None:
            made = mate(self.state, made, like, self._study.seed)
            if made.config is None:
                return None
        if made.config is None:
            self._emit(events.retired(family.name, family.why_no_more(made.redrawn)))
            return None
        trial = Trial(len(self.state.trials), family.name, made.config, self._study.seed)
        costs = family.costs(made.config)
        self._emit(events.proposed(trial, proposal, made.redrawn, costs, made.origin))
        return trial.number

    def _go_on_racing(self) -> None:
        """Once all runs of a round are over: more seeds for those that cannot be told apart."""
        state = self.state
        if not (state.race_over or state.finalists or state.in_flight):
            self._emit(events.raced(*next_round(self._study, state, self._example_losses)))

    def _finalist_lease(self) -> Lease | None:
        if not self.state.finalists:
            return None
        trial = confirming_run(self.state, self.state.finalists[0])
        self._emit(events.proposed(trial, None))
        return self._hand_out(self.state.trials[trial.number])
