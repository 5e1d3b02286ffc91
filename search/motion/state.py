"""The state of a study: everything that follows from the events of its log."""

import math
from collections import Counter
from collections.abc import Callable, Mapping

from search.motion import events
from search.motion.budget import Ledger
from search.motion.events import Event
from search.motion.family import FamilySearch
from search.motion.progress import TrialProgress
from search.motion.sizing import Sizing
from search.study import Study
from search.trial import USELESS, Finalist, Lease, State
from spaces import SearchSpace


class StudyState:
    """The state of a study, changed by `apply` and by nothing else.

    Args:
        maximize: Whether larger values of the metric are better; a loss is then the negated value.
        sizings: By family, what holds its proposals to limits.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        study: Study,
        *,
        maximize: bool,
        sizings: Mapping[str, Sizing],
    ) -> None:
        self.families = {
            name: FamilySearch(name, spaces[name], study, sizings.get(name))
            for name in study.families
        }
        self.ledger = Ledger(study.budget, study.families)
        self.trials: list[TrialProgress] = []
        """By number."""
        self.in_flight: dict[int, Lease] = {}
        """By number of the trial."""
        self.interrupted: set[int] = set()
        """Numbers of the trials that have work left and no worker."""
        self.next_lease = 0
        self.searching = True
        """Whether the search goes on; then come the finalists."""
        self.finalists: list[Finalist] = []
        """Those that are not trials yet."""
        self.looks = 0
        """How often, once those are trained, finalists that race will have been compared."""
        self.race_over = True
        self._races = study.confirm.racing is not None
        self.search_seconds = 0.0
        """Wall-clock seconds of the search, as far as drivers were at work."""
        self.last_event_at = 0.0
        self._sign = -1.0 if maximize else 1.0
        self._settings: Event | None = None

    def apply(self, event: Event) -> None:
        """Take in one event; kinds that others write and duplicates change nothing."""
        change = CHANGES.get(event["event"])
        if change is None:
            return
        if self.searching and event["event"] != "opened":
            self.search_seconds += max(event["time"] - self.last_event_at, 0.0)
        self.last_event_at = event["time"]
        change(self, event)

    def search_seconds_at(self, now: float) -> float:
        """`search_seconds` and the time since the last event; a driver is at work."""
        return self.search_seconds + max(now - self.last_event_at, 0.0)

    def search_in_flight(self) -> bool:
        """Whether a lease of the search is in a worker."""
        return any(family.in_flight for family in self.families.values())

    def commonest_cause(self) -> str | None:
        """What most of those trials failed of that came to nothing; None if none did."""
        failed = (trial for trial in self.trials if trial.state in USELESS)
        causes = Counter(trial.cause for trial in failed).most_common(1)
        return causes[0][0] if causes else None

    def _opened(self, event: Event) -> None:
        """A driver begins: what was in flight has no worker. Changed settings reopen the search."""
        for number in list(self.in_flight):
            self._release(self.trials[number])
            self._interrupt(self.trials[number])
        settings = {key: event[key] for key in event if key != "time"}
        if self._settings not in (None, settings):
            self.searching = True
            self.finalists = []
            for family in self.families.values():
                family.take_heart()
        self._settings = settings
        for family in self.families.values():
            family.scheduler.expect(event["budget"]["trials_per_family"])

    def _proposed(self, event: Event) -> None:
        number, finalist_of = event["trial"], event["finalist_of"]
        if number < len(self.trials):
            return
        assert number == len(self.trials)
        trial = events.proposed_trial(event)
        self.trials.append(TrialProgress(trial, event["proposal"]))
        self.interrupted.add(number)
        if finalist_of is not None:
            self.trials[number].alone = self.trials[finalist_of].alone
            begun = Finalist(trial.family, finalist_of, trial.seed)
            self.finalists = [finalist for finalist in self.finalists if finalist != begun]
            return
        family = self.families[trial.family]
        family.trials.append(number)
        family.remember(trial.config, event.get("costs", {}))
        if trial.copied_from is not None:
            self.trials[number].epoch = trial.copied_from[1]
            family.scheduler.replace(event["replaces"], number)
            return
        family.proposals += 1
        family.redrawn += event.get("redrawn", 0)
        family.scheduler.begin(number)
        self.ledger.accounts[trial.family].proposed += 1
        self._tell(self.trials[number], State.running)

    def _warm_started(self, event: Event) -> None:
        family = self.families[event["family"]]
        if not family.trials and not family.warm:
            family.learn_from(event["told"])

    def _leased(self, event: Event) -> None:
        if event["lease"] < self.next_lease:
            return
        at = self.trials[event["trial"]]
        self.next_lease = event["lease"] + 1
        if event["attempt"] > at.attempt:
            at.attempt, at.attempt_epoch = event["attempt"], 0
        at.state = State.running
        at.from_epoch, at.to_epoch = event["epoch"], event["to_epoch"]
        at.leased_at, at.lease_seconds = event["time"], 0.0
        self.interrupted.discard(at.trial.number)
        self.in_flight[at.trial.number] = Lease(
            event["lease"],
            at.trial,
            at.attempt,
            at.from_epoch,
            at.to_epoch,
            event["test"],
            at.alone,
        )
        if at.in_search:
            family = self.families[at.trial.family]
            family.in_flight += 1
            family.scheduler.leave(at.trial.number)
            self.ledger.accounts[at.trial.family].reserved_epochs += at.to_epoch - at.epoch

    def _reported(self, event: Event) -> None:
        at, epoch = self.trials[event["trial"]], event["epoch"]
        if event["attempt"] != at.attempt or epoch <= at.attempt_epoch:
            return
        at.attempt_epoch = epoch
        at.lease_seconds += event["seconds"]
        self._spend(at, event["seconds"])
        if at.in_search:
            account = self.ledger.accounts[at.trial.family]
            account.trained_epochs += 1
            account.reserved_epochs -= max(epoch - at.epoch, 0)
        if epoch > at.epoch:
            value = event["value"]
            at.add(epoch, None if value is None else self._sign * value)

    def _paused(self, event: Event) -> None:
        at = self.trials[event["trial"]]
        if at.state != State.running:
            return
        self._release(at)
        at.state = State.paused
        self._enter(at, event["epoch"])
        self._tell(at, State.paused)

    def _interrupted(self, event: Event) -> None:
        at = self.trials[event["trial"]]
        if at.state != State.running:
            return
        self._release(at)
        self._interrupt(at)
        at.alone = at.alone or event.get("alone", False)
        if event["lost"]:
            at.losses, at.lost_at = at.losses_with_next, at.epoch
        if event["lost"] or "alone" in event:
            self._charge(at, event)

    def _ended(self, event: Event) -> None:
        at = self.trials[event["trial"]]
        if at.state.final:
            return
        was_running = at.state == State.running
        if was_running:
            self._release(at)
        self.interrupted.discard(at.trial.number)
        at.state, at.cause = State(event["state"]), event["cause"]
        at.early = event.get("early", False)
        if was_running and at.state in USELESS:
            self._charge(at, event)
        if at.in_search:
            self._end_search(at)

    def _end_search(self, at: TrialProgress) -> None:
        family, number, told = self.families[at.trial.family], at.trial.number, at.state
        if at.early:
            family.survived = True
            at_the_top = family.scheduler.settle(number, at.epoch, at.best_loss)
            told = State.complete if at_the_top else State.pruned
        else:
            if at.state == State.complete:
                self._enter(at, at.epoch)
            elif at.state in USELESS:
                family.failures += 1
                family.scheduler.enter(number, at.to_epoch, math.inf)
            else:
                family.scheduler.give_up(number)
            family.scheduler.leave(number)
        self.ledger.accounts[family.name].book_end(at.state, at.device_seconds)
        self._tell(at, told)

    def _tested(self, event: Event) -> None:
        at = self.trials[event["trial"]]
        if not at.tested:
            self._spend(at, event.get("refit", {}).get("seconds", 0.0))
        at.tested = True
        value = event.get("value")
        at.test_loss = None if value is None else self._sign * value

    def _stop_requested(self, event: Event) -> None:
        self.trials[event["trial"]].stop_requested = True

    def _retired(self, event: Event) -> None:
        self.families[event["family"]].retired = event["cause"]
        self.families[event["family"]].scheduler.close()

    def _searched(self, event: Event) -> None:
        self.searching = False
        self.finalists = [Finalist(**finalist) for finalist in event["finalists"]]
        self.looks, self.race_over = 1, not self._races

    def _raced(self, event: Event) -> None:
        self.finalists = [Finalist(**finalist) for finalist in event["finalists"]]
        self.looks, self.race_over = event["looks"], not self.finalists

    def _release(self, at: TrialProgress) -> None:
        """The trial's lease is over."""
        lease = self.in_flight.pop(at.trial.number)
        if at.in_search:
            self.families[at.trial.family].in_flight -= 1
            left = max(lease.to_epoch - at.epoch, 0)
            self.ledger.accounts[at.trial.family].reserved_epochs -= left

    def _interrupt(self, at: TrialProgress) -> None:
        at.state = State.interrupted
        self.interrupted.add(at.trial.number)

    def _charge(self, at: TrialProgress, event: Event) -> None:
        """A lease that failed or was lost held its device longer than its epochs say."""
        self._spend(at, max(event["time"] - at.leased_at - at.lease_seconds, 0.0))

    def _spend(self, at: TrialProgress, seconds: float) -> None:
        at.device_seconds += seconds
        if at.in_search:
            self.ledger.accounts[at.trial.family].device_seconds += seconds

    def _enter(self, at: TrialProgress, epoch: int) -> None:
        family = self.families[at.trial.family]
        family.survived = True
        loss = at.history[-1][1] if family.scheduler.latest else at.best_loss
        family.scheduler.enter(at.trial.number, epoch, loss)

    def _tell(self, at: TrialProgress, state: State) -> None:
        """What became of a proposal; of a copy, much came of the settings of others before it."""
        if at.proposal is None:
            return
        family = self.families[at.trial.family]
        family.tell(at.proposal, at.trial.config, at.history, state, at.device_seconds)


CHANGES: dict[str, Callable[[StudyState, Event], None]] = {
    "opened": StudyState._opened,
    "proposed": StudyState._proposed,
    "warm_started": StudyState._warm_started,
    "leased": StudyState._leased,
    "reported": StudyState._reported,
    "paused": StudyState._paused,
    "interrupted": StudyState._interrupted,
    "ended": StudyState._ended,
    "tested": StudyState._tested,
    "stop_requested": StudyState._stop_requested,
    "retired": StudyState._retired,
    "searched": StudyState._searched,
    "raced": StudyState._raced,
}
