"""What comes back from workers: epochs and ends of leases, and what they mean for their trials."""

from collections.abc import Callable, Mapping
from typing import Any

from search.motion import events
from search.motion.events import Event
from search.motion.progress import TrialProgress
from search.motion.state import StudyState
from search.study import Study
from search.trial import Lease, Outcome, State

MOST_LOSSES = 3  # leases of a trial lost in a row without coming further

OUT_OF_TIME = "the budget of seconds was spent"
PASSED_OVER = "others were better at the same epoch"
SETTLED = "it had ceased to improve"
STOPPED = "stopped by a person"


class Intake:
    """Turns what workers say into events, each of which is recorded and then applied.

    Args:
        metric: The objective, one of the measurements' validation metrics.
        record: Called with each event; what it raises leaves the state as it was.
        clock: Unix seconds.
    """

    def __init__(
        self,
        study: Study,
        state: StudyState,
        *,
        metric: str,
        record: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self.state = state
        self._study = study
        self._metric = metric
        self._diverged = f"diverged: the validation {metric} is not finite"
        self._record = record
        self._clock = clock
        self._stopping = False

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

    def stop(self) -> None:
        """Hand out nothing more; `finished` once nothing is in flight. A later driver can go on."""
        self._stopping = True

    def _emit(self, event: Event) -> None:
        event["time"] = self._clock()
        self._record(event)
        self.state.apply(event)

    def _holder(self, lease: Lease) -> TrialProgress | None:
        """The trial that is in flight under this very lease."""
        held = self.state.in_flight.get(lease.trial.number)
        if held is None or held.number != lease.number:
            return None
        return self.state.trials[lease.trial.number]

    def _out_of_time(self) -> bool:
        limit = self._study.budget.seconds
        return limit is not None and self.state.search_seconds_at(self._clock()) >= limit

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
