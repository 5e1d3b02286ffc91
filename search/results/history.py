"""How a study went, epoch by epoch; of a damaged log as much as is whole."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.results.summary import StudySummary, interrupt
from search.store.lock import LOCK, Holder, living_writer
from search.store.log import LOG, check_format, decode, whole_lines
from search.trial import State

Point = tuple[float, float]
FINAL = frozenset(state for state in State if state.final)
NUMBER = (int, float)
LONGEST_SECONDS = 1e11  # three thousand years
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("trial", "attempt", "epoch", "seed", "parameters"), (int,)),
    **dict.fromkeys(("time", "seconds"), NUMBER),
    **dict.fromkeys(("study", "family", "metric", "state"), (str,)),
    **dict.fromkeys(("benchmark", "cause", "name"), (str, type(None))),
    "config": (dict,),
    "value": (*NUMBER, type(None)),
    "finalist_of": (int, type(None)),
    "families": (list,),
    "maximize": (bool,),
}
"""What a damaged line could put into the fields that are looked at."""


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
            ValueError, KeyError: It lacks something, or is about a trial that was never proposed.
            TypeError, AttributeError: It holds what no writer of ours has written.
        """
        _check(event)
        origin = event.get("finalist_of")
        if origin is not None and origin not in self.summary.trials:
            raise ValueError(f"a finalist repeats trial {origin}, which is missing")
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


def _check(event: dict[str, Any]) -> None:
    """Refuse what no writer of ours has written.

    Raises:
        TypeError: A field is of another kind.
        AttributeError: What was measured has no names.
    """
    for name, value in event.items():
        kinds = KINDS.get(name, (object,))
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds[0] is int):
            raise TypeError(f"`{name}` cannot be {value!r}")
    for name in ("time", "seconds"):
        if not 0 <= event.get(name, 0.0) < LONGEST_SECONDS:
            raise TypeError(f"`{name}` cannot be {event[name]!r}")
    if not all(isinstance(family, str) for family in event.get("families", ())):
        raise TypeError("`families` must be names")
    measured = {"reported": "valid", "tested": "test"}.get(event["event"])
    values = event.get(measured, {}).values() if measured else ()
    if not all(isinstance(value, (*NUMBER, type(None))) for value in values):
        raise TypeError(f"`{measured}` must hold numbers")


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
        except (ValueError, TypeError, KeyError, AttributeError):
            history.damaged.append(number)
    if history.writer is None:
        interrupt(history.summary)
    history.end()
    return history
