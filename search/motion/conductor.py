"""The study in motion: which lease next, and what a result means; without Ray and without torch."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from search.motion import events
from search.motion.confirm import confirming_run, first_finalists
from search.motion.copying import replacements
from search.motion.events import Event
from search.motion.family import FamilySearch
from search.motion.progress import TrialProgress
from search.motion.racing import ExampleLosses, next_round
from search.motion.sizing import Sizing
from search.motion.state import StudyState
from search.motion.warm_start import Past, warm_starts
from search.study import Study
from search.trial import Lease, Outcome, State, Trial
from spaces import SearchSpace

MOST_LOSSES = 3  # leases of a trial lost in a row without coming further

OUT_OF_TIME = "the budget of seconds was spent"
PASSED_OVER = "others were better at the same epoch"
SETTLED = "it had ceased to improve"
STOPPED = "stopped by a person"


class Conductor:
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
        self._earlier: Mapping[str, Sequence[Past]] = {}
        self.state = StudyState(spaces, study, maximize=maximize, sizings=sizings or {})
        self._opening = events.opened(spaces, study)
        self._study = study
        self._metric = metric
        self._diverged = f"diverged: the validation {metric} is not finite"
        self._record = record
        self._clock = clock
        self._example_losses = example_losses
        self._opened = False
        self._stopping = False

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

    def wanted(self, lease: Lease) -> bool:
        """Whether the worker should go on; if not, it ends the lease as `reached` here and now."""
        trial = self._holder(lease)
        if trial is None or trial.diverged or trial.stop_requested or self._stopping:
            return False
        return not (trial.in_search and self._out_of_time())

    def report(self, lease: Lease, measurement: Mapping[str, Any]) -> None:
        """Take an epoch; one told before in this attempt, or of a lease that is over, is ignored.

        Args:
            measurement: `epoch`, `valid` (values by metric), `train_loss`, `seconds`; the rest goes
                into the log as it is.
        """
        trial = self._holder(lease)
        if trial is not None and measurement["epoch"] > trial.attempt_epoch:
            self._emit(events.reported(lease, measurement, self._metric))

    def end(self, lease: Lease, outcome: Outcome) -> None:
        """How a lease ended; that of a lease that is over already is ignored."""
        trial = self._holder(lease)
        if trial is None:
            return
        if outcome.kind == "reached":
            self._reach(trial, lease, outcome)
        elif outcome.kind == "lost":
            self._lose(trial, lease, outcome.cause, begun=outcome.begun)
        elif outcome.kind == "crowded":
            self._emit(events.crowded(lease, trial.epoch, outcome.cause))
        else:
            self._end(trial, State(outcome.kind), outcome.cause, outcome.traceback)

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

    def stop(self) -> None:
        """Hand out nothing more; `finished` once nothing is in flight. A later driver can go on."""
        self._stopping = True

    def _emit(self, event: Event) -> None:
        event["time"] = self._clock()
        self._record(event)
        self.state.apply(event)

    def _open(self) -> None:
        if not self._opened:
            self._opened = True
            for event in (self._opening, *warm_starts(self.state.families, self._earlier)):
                self._emit(event)

    def _holder(self, lease: Lease) -> TrialProgress | None:
        """The trial that is in flight under this very lease."""
        held = self.state.in_flight.get(lease.trial.number)
        if held is None or held.number != lease.number:
            return None
        return self.state.trials[lease.trial.number]

    def _out_of_time(self) -> bool:
        limit = self._study.budget.seconds
        return limit is not None and self.state.search_seconds_at(self._clock()) >= limit

    # what goes out

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

    def _hand_out(self, trial: TrialProgress) -> Lease:
        interrupted = trial.state == State.interrupted
        from_here_before = trial.epoch == trial.from_epoch
        lease = Lease(
            number=self.state.next_lease,
            trial=trial.trial,
            attempt=trial.attempt + (interrupted or from_here_before),
            from_epoch=trial.epoch,
            to_epoch=self._next_stop(trial, goes_on=interrupted and trial.attempt > 0),
            test=not trial.in_search and not trial.tested,
            alone=trial.alone,
        )
        self._emit(events.leased(lease))
        return lease

    def _next_stop(self, trial: TrialProgress, *, goes_on: bool) -> int:
        if goes_on:  # a study may be shorter than it was
            return min(trial.to_epoch, max(self._study.budget.epochs, trial.epoch))
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
        scheduler, ledger = family.scheduler, self.state.ledger
        may_train = ledger.may_train(family.name)
        number = scheduler.promotion() if may_train else None
        if number is None and family.may_hope:
            held_back = scheduler.missing_epochs()
            if ledger.may_propose(family.name, held_back_epochs=held_back):
                number = self._propose(family)
        if number is None and family.in_flight == 0:
            number = scheduler.closing_promotion() if may_train else scheduler.completion()
        return None if number is None else self._hand_out(self.state.trials[number])

    def _propose(self, family: FamilySearch) -> int | None:
        """The number of a new trial of the family; None if it retires instead."""
        proposal = family.proposals
        config, redrawn = (None, 0) if family.hopeless else family.propose(proposal)
        if config is None:
            self._emit(events.retired(family.name, family.why_no_more(redrawn)))
            return None
        trial = Trial(len(self.state.trials), family.name, config, self._study.seed)
        self._emit(events.proposed(trial, proposal, redrawn, family.costs(config)))
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

    # what comes back

    def _reach(self, trial: TrialProgress, lease: Lease, outcome: Outcome) -> None:
        """The worker did what it was asked: the trial waits, is complete, or ends here."""
        assert outcome.epoch is not None
        if trial.diverged:
            self._end(trial, State.failed, self._diverged)
        elif outcome.epoch < lease.to_epoch and not outcome.early:
            self._break_off(trial, lease, f"the worker ended its lease at epoch {outcome.epoch}")
        elif not trial.history:
            self._end(trial, State.failed, f"no validation {self._metric} was reported")
        elif outcome.epoch >= self._study.budget.epochs or outcome.early:
            self._complete(trial, lease, outcome)
        elif trial.stop_requested:
            self._end(trial, State.stopped, STOPPED)
        else:
            self._emit(events.paused(lease, outcome.epoch))

    def _complete(self, trial: TrialProgress, lease: Lease, outcome: Outcome) -> None:
        if lease.test and outcome.test is None:
            self._break_off(trial, lease, "the measurement on the test split did not arrive")
            return
        if lease.test:
            self._emit(events.tested(lease, outcome, self._metric))
        early = outcome.early and trial.epoch < self._study.budget.epochs
        self._end(trial, State.complete, SETTLED if early else "", early=early)

    def _break_off(self, trial: TrialProgress, lease: Lease, cause: str) -> None:
        """The worker stopped before its end: not wanted any more, or of its own accord."""
        if trial.stop_requested:
            self._end(trial, State.stopped, STOPPED)
        elif self._stopping:
            stopped = "the study was stopped"
            self._emit(events.interrupted(lease, trial.epoch, stopped, lost=False))
        elif trial.in_search and self._out_of_time():
            self._end(trial, State.pruned, OUT_OF_TIME)
        else:
            self._lose(trial, lease, cause)

    def _lose(self, trial: TrialProgress, lease: Lease, cause: str, *, begun: bool = True) -> None:
        """The trial goes on from its last checkpoint, unless it loses worker after worker."""
        if begun and trial.losses_with_next >= MOST_LOSSES:
            self._end(trial, State.failed, f"lost {MOST_LOSSES} workers: {cause}")
        else:
            self._emit(events.interrupted(lease, trial.epoch, cause, lost=begun))

    def _end(
        self,
        trial: TrialProgress,
        state: State,
        cause: str = "",
        traceback: str = "",
        *,
        early: bool = False,
    ) -> None:
        self._emit(
            events.ended(
                trial.trial.number,
                trial.attempt,
                trial.epoch,
                state,
                cause=cause,
                traceback=traceback,
                early=early,
            )
        )
