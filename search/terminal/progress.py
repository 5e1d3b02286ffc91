"""What a person sees while a study runs: a live table in a terminal, else some lines."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from search.motion.rehearsal import Rehearsal, rehearse
from search.results.cells import count, number, seconds
from search.results.health import health_notes
from search.results.summary import Event, StudySummary, TrialSummary
from search.results.tables import Block, to_terminal
from search.study import Budget, Confirm, Study
from search.trial import USELESS, State

REFRESHES_PER_SECOND = 2
FIRST_LINE_SECONDS = 2.0
LINE_SHARE = 1 / 20  # of the time gone by: a run of a whole day prints fewer than 200 lines
FATES = (State.running, State.complete, State.pruned, State.failed, State.paused)


class Progress:
    """Shows a running study from its events; in a terminal it is refreshed in place.

    Args:
        console: Where to draw; its `is_terminal` decides how.
        earlier: What the log held before this run.
        clock: Seconds; `started` is by it.
        started: When the run began; None means now.
    """

    def __init__(
        self,
        study: Study,
        console: Console,
        *,
        earlier: Iterable[Event] = (),
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        self._study = study
        self._console = console
        self._clock = clock
        self._started = clock() if started is None else started
        self._next_line = FIRST_LINE_SECONDS
        self._summary = StudySummary(study.name)
        for event in earlier:
            self._summary.add(event)
        self._trained_before = _train_seconds(self._summary.trials.values())
        self._width = console.width
        self._drawing = threading.Lock()
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def catch_up(self, events: Iterable[Event]) -> None:
        """Take in what this run has written before anybody looked."""
        with self._drawing:
            for event in events:
                self._take(event)

    def see(self, event: Event) -> None:
        """Take in what has just been written to the log."""
        with self._drawing:
            self._take(event)
        for line in event["account"] if event["event"] == "data" else ():
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        if not self._console.is_terminal and self._elapsed >= self._next_line:
            self._console.print(self.line(), markup=False, highlight=False, soft_wrap=True)
            wait = max(FIRST_LINE_SECONDS, self._elapsed * LINE_SHARE)
            self._next_line = self._elapsed + wait

    def _take(self, event: Event) -> None:
        self._summary.add(event)
        if event["event"] == "opened" and "budget" in event:  # it may have been extended
            changed = {
                "budget": Budget.model_validate(event["budget"]),
                "families": tuple(event["families"]),
                "confirm": Confirm.model_validate(event["confirm"]),
            }
            self._study = self._study.model_copy(update=changed)
            self.__dict__.pop("_whole", None)

    def line(self) -> str:
        """Where the study stands, in one line."""
        summary = self._summary
        fates = Counter(trial.state for trial in summary.trials.values())
        told = ", ".join(f"{fates[fate]} {fate}" for fate in FATES if fates[fate])
        parts = [f"{seconds(self._elapsed)}  {self._phase()}: {told or 'starting'}"]
        best = _best(summary, summary.trials.values())
        if best is not None:
            parts.append(f"best {summary.metric} {number(best.best)} ({best.family})")
        left = self.seconds_left()
        if left is not None:
            parts.append(f"about {seconds(left)} left")
        return "; ".join(parts)

    def seconds_left(self) -> float | None:
        """An estimate from what epochs have taken so far; None before the first one."""
        trials = self._summary.trials.values()
        trained = _train_seconds(trials) - self._trained_before
        if not trained or not self._elapsed:
            return None
        left = [self._work_left(family) for family in self._study.families]
        at_once = trained / self._elapsed
        search = self._search_left([search for search, _ in left], at_once)
        return search + sum(confirm for _, confirm in left) / at_once

    def _search_left(self, of_families: Sequence[float], at_once: float) -> float:
        """Wall-clock seconds of the search, by whichever budget is spent first."""
        budget, trials = self._study.budget, self._summary.trials.values()
        if any(trial.finalist_of is not None for trial in trials):
            return 0.0
        limits = []
        if budget.trials_per_family is not None:
            limits.append(sum(of_families) / at_once)
        if budget.device_seconds is not None:
            limits.append((budget.device_seconds - _train_seconds(trials)) / at_once)
        if budget.seconds is not None:
            limits.append(budget.seconds - self._elapsed)
        return max(min(limits), 0.0)

    def _work_left(self, family: str) -> tuple[float, float]:
        """Device seconds of a family's search and of its finalists that are still to come."""
        trials = self._summary.trials.values()
        own = [trial for trial in trials if trial.family == family]
        timed = [t for t in own if t.trained_epochs] or [t for t in trials if t.trained_epochs]
        epoch_seconds = _train_seconds(timed) / sum(trial.trained_epochs for trial in timed)
        confirm = sum(trial.epochs for trial in own if trial.finalist_of is not None)
        search = sum(trial.trained_epochs for trial in own) - confirm
        work = self._whole.families[family]  # an epoch is a second there
        return (
            max(work.search_seconds - search, 0.0) * epoch_seconds,
            max(work.confirm_seconds - confirm, 0.0) * epoch_seconds,
        )

    @cached_property
    def _whole(self) -> Rehearsal:
        """The whole study, were an epoch a second; of trials alone, no other budget."""
        families = self._study.families
        most = self._study.budget.trials_per_family or 1
        budget = self._study.budget.model_copy(
            update={"trials_per_family": most, "seconds": None, "device_seconds": None}
        )
        study = self._study.model_copy(update={"budget": budget})
        return rehearse(study, dict.fromkeys(families, 1.0))

    @property
    def _planned_finalists(self) -> int:
        confirm = self._study.confirm
        seeds = confirm.racing or confirm.seeds
        return len(self._study.families) * confirm.top_per_family * seeds

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._started

    def _phase(self) -> str:
        trials = self._summary.trials.values()
        finalists = sum(trial.finalist_of is not None for trial in trials)
        if finalists:
            most = "at most " if self._study.confirm.racing else ""
            return f"finalist {finalists} of {most}{self._planned_finalists}"
        share = self._study.budget.trials_per_family
        of = f" of {share * len(self._study.families)}" if share is not None else ""
        copies = sum(trial.copied_from is not None for trial in trials)
        return f"trial {len(trials) - copies}{of}" + (f", {copies} copies" if copies else "")

    def _draw(self) -> Text:
        with self._drawing:
            left = self.seconds_left()
            about = "" if left is None else f", about {seconds(left)} left"
            title = f"{self._study.name}: {self._phase()}, {seconds(self._elapsed)}{about}"
            return Text(to_terminal([progress_block(self._summary, title)], width=self._width))


def progress_block(summary: StudySummary, title: str) -> Block:
    """The families with their best so far, their trials by fate, and what they have spent."""
    metric = summary.metric or "value"
    return Block(
        title=title,
        headings=["family", f"best {metric}", "training", *FATES, "epoch"],
        words=frozenset({"family"}),
        cells=[_cells(summary, family) for family in summary.families],
        notes=_notes(summary),
    )


def _cells(summary: StudySummary, family: str) -> list[str]:
    trials = [trial for trial in summary.trials.values() if trial.family == family]
    search = [trial for trial in trials if trial.finalist_of is None]
    fates = Counter(trial.state for trial in search)
    best = _best(summary, search)
    return [
        family,
        number(best.best if best else None),
        seconds(_train_seconds(trials)),
        *(count(fates[fate]) for fate in FATES),
        count(best.best_epoch if best else None),
    ]


def _notes(summary: StudySummary) -> list[str]:
    causes = [trial.cause for trial in summary.trials.values() if trial.state in USELESS]
    failure = [f"The last failure: {causes[-1]}"] if causes else []
    states = (State(trial.state) for trial in summary.trials.values())
    others = Counter(state for state in states if state.final and state not in FATES)
    told = ", ".join(f"{often} {state}" for state, often in others.items())
    besides = [f"Besides these trials: {told}."] if told else []
    return [*besides, *failure, *health_notes(summary)]


def _best(summary: StudySummary, trials: Iterable[TrialSummary]) -> TrialSummary | None:
    """The trial of the search with the best validation value so far."""
    measured = [trial for trial in trials if trial.best is not None and trial.finalist_of is None]
    return min(measured, key=lambda trial: summary.loss(trial.best or 0.0), default=None)


def _train_seconds(trials: Iterable[TrialSummary]) -> float:
    return sum(trial.train_seconds for trial in trials)
