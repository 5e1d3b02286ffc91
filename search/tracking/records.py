"""What the log tells of each trial, for tools that know trials, settings and curves."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.report.charts import settings
from search.results.summary import StudySummary, TrialSummary, interrupt
from search.store.lock import LOCK, living_writer
from search.store.log import read_events


@dataclass(frozen=True, slots=True)
class Report:
    """One epoch of a trial.

    Attributes:
        time: Unix seconds.
        value: The objective; None where it was not finite.
        values: All that was measured and finite, by name: `train_loss`, `valid/accuracy`, ...
    """

    epoch: int
    time: float
    value: float | None
    values: dict[str, float]


@dataclass(slots=True)
class TrialRecord:
    """One trial, epoch by epoch.

    Attributes:
        settings: By path, what was searched and what was held; a list or a None is text.
        reports: By epoch; of one that was trained again, the last.
        tests: Metrics on the test split (finalists only).
        begun: Unix seconds of the first lease; None before it.
        ended: Of the end.
    """

    summary: TrialSummary
    settings: dict[str, bool | str | float]
    reports: dict[int, Report] = field(default_factory=dict)
    tests: dict[str, float] = field(default_factory=dict)
    begun: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class StudyRecord:
    """A study with its trials, by number."""

    summary: StudySummary
    trials: dict[int, TrialRecord] = field(default_factory=dict)


def read_records(directory: Path) -> StudyRecord:
    """The study in `directory` as far as its log goes.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: The log is corrupt, or has a format that this version does not read.
    """
    study = StudyRecord(StudySummary(directory.resolve().name))
    for event in read_events(directory):
        study.summary.add(event)
        number = event.get("trial")
        if event["event"] == "proposed":
            summary = study.summary.trials[event["trial"]]
            study.trials[event["trial"]] = TrialRecord(summary, _settings(summary))
        elif number is not None:
            _add(study.trials[number], event)
    if living_writer(directory / LOCK) is None:
        interrupt(study.summary)
    return study


def _add(record: TrialRecord, event: dict[str, Any]) -> None:
    match event["event"]:
        case "leased":
            record.begun = event["time"] if record.begun is None else record.begun
        case "reported":
            measured = {"train_loss": event.get("train_loss")} | {
                f"valid/{name}": value for name, value in event.get("valid", {}).items()
            }
            finite = {name: value for name, value in measured.items() if value is not None}
            epoch = event["epoch"]
            record.reports[epoch] = Report(epoch, event["time"], event["value"], finite)
        case "tested":
            record.tests = {
                name: value for name, value in event["test"].items() if value is not None
            }
        case "ended":
            record.ended = event["time"]


def _settings(summary: TrialSummary) -> dict[str, bool | str | float]:
    return {
        path: value if isinstance(value, bool | str | int | float) else json.dumps(value)
        for path, value in settings(json.loads(summary.config))
    }
