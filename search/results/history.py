"""How a study went, epoch by epoch; of a damaged log as much as is whole."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.results.summary import StudySummary, interrupt
from search.store.lock import Holder, living_writer
from search.store.log import LOG, check_format, decode, whole_lines
from search.store.store import LOCK
from search.trial import State

Point = tuple[float, float]
FINAL = frozenset(state for state in State if state.final)


@dataclass(slots=True)
class History:
    """What a log tells beyond its summary.

    Attributes:
        curves: By trial, the objective on validation by epoch; an epoch without a finite value is
            left out.
        best_by_spending: By family, seconds of its search's training and the best value until then,
            at each improvement and at the end.
        last_time: Unix seconds of the last event.
        closed: The last driver has ended in order.
        writer: The process that writes, if one does.
        damaged: The numbers of the lines that say nothing, or nothing possible, and are left out.
    """

    summary: StudySummary
    curves: dict[int, dict[int, float]] = field(default_factory=dict)
    best_by_spending: dict[str, list[Point]] = field(default_factory=dict)
    last_time: float | None = None
    closed: bool = False
    writer: Holder | None = None
    lines: int = 0
    damaged: list[int] = field(default_factory=list)
    _spent: dict[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the last driver left nothing to do."""
        return self.closed and all(trial.state in FINAL for trial in self.summary.trials.values())

    def add(self, event: dict[str, Any]) -> None:
        """Take the next event into account.

        Raises:
            ValueError, TypeError, KeyError: It lacks something, or is about a trial that was never
                proposed.
        """
        reported = event["event"] == "reported"
        new = reported and self._is_new(event)
        self.summary.add(event)
        self.closed = event["event"] == "closed"
        self.last_time = event.get("time", self.last_time)
        if new:
            self._report(event)

    def _is_new(self, event: dict[str, Any]) -> bool:
        """Whether a report is not the copy of an earlier one."""
        trial = self.summary.trials.get(event["trial"])
        return trial is not None and (event["attempt"], event["epoch"]) > trial.reported

    def _report(self, event: dict[str, Any]) -> None:
        trial, value = self.summary.trials[event["trial"]], event["value"]
        if value is not None:
            self.curves.setdefault(trial.trial, {})[event["epoch"]] = value
        if trial.finalist_of is None:
            spent = self._spent.get(trial.family, 0.0) + event["seconds"]
            self._spent[trial.family] = spent
            points = self.best_by_spending.setdefault(trial.family, [])
            best = points[-1][1] if points else None
            if value is not None and (
                best is None or self.summary.loss(value) < self.summary.loss(best)
            ):
                points.append((spent, value))

    def end(self) -> None:
        """No more events come: lines of spending go on to what was spent in all."""
        for family, points in self.best_by_spending.items():
            if points and points[-1][0] < self._spent[family]:
                points.append((self._spent[family], points[-1][1]))


def read_history(directory: Path) -> History:
    """The history of the study in `directory`, as far as its log is whole.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: The log has a format that this version does not read.
    """
    log = directory / LOG
    history = History(
        StudySummary(directory.resolve().name, directory=directory),
        writer=living_writer(directory / LOCK),
    )
    for number, line in enumerate(whole_lines(directory), 1):
        history.lines = number
        try:
            event = decode(line, log, number)
        except ValueError:
            history.damaged.append(number)
            continue
        if event["event"] == "study" and isinstance(event.get("format"), int):
            check_format(event, log)
        try:
            history.add(event)
        except (ValueError, TypeError, KeyError):
            history.damaged.append(number)
    if history.writer is None:
        interrupt(history.summary)
    history.end()
    return history
