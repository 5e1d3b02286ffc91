"""A study as a storage of Optuna, as `optuna-dashboard` opens it: one of its studies per family."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.report.charts import LOG_RATIO
from search.tracking.database import address
from search.tracking.records import StudyRecord, TrialRecord
from search.trial import State

STATES = {
    State.complete: TrialState.COMPLETE,
    State.pruned: TrialState.PRUNED,
    State.stopped: TrialState.PRUNED,
    State.failed: TrialState.FAIL,
    State.infeasible: TrialState.FAIL,
}


def write(study: StudyRecord, target: Path) -> str:
    """Write an SQLite file with the trials of the search that have ended.

    Ranges are those of the values that were tried. What a finalist reached on the test split is an
    attribute of the trial that it repeats.

    Raises:
        OSError: It cannot be written.
    """
    draft = target.with_name(f".{target.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch()  # says why, where it cannot be written
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each study
    try:
        written = _write(study, draft)
        draft.rename(target)
    finally:
        optuna.logging.set_verbosity(verbosity)
        draft.unlink(missing_ok=True)
    return f"{written:,} trials; look at them with: optuna-dashboard {address(target)}"


def _write(study: StudyRecord, path: Path) -> int:
    storage = RDBStorage(address(path))
    written = 0
    by_family: dict[str, list[TrialRecord]] = {name: [] for name in study.summary.families}
    for trial in study.trials.values():
        by_family.setdefault(trial.summary.family, []).append(trial)
    for family, trials in by_family.items():
        ended = [
            each
            for each in trials
            if each.summary.finalist_of is None and each.summary.state in STATES
        ]
        own = optuna.create_study(
            storage=storage,
            study_name=f"{study.summary.study}/{family}",
            direction="maximize" if study.summary.maximize else "minimize",
        )
        ranges = _ranges(ended)
        own.add_trials(_frozen(trial, trials, ranges) for trial in ended)
        written += len(ended)
    storage.engine.dispose()
    return written


def _frozen(
    trial: TrialRecord, family: Iterable[TrialRecord], ranges: dict[str, BaseDistribution]
) -> FrozenTrial:
    """The trial as Optuna keeps it; its value is the best on validation."""
    summary = trial.summary
    state = STATES[State(summary.state)]
    if state is TrialState.COMPLETE and summary.best is None:  # it never had a finite value
        state = TrialState.FAIL
    return FrozenTrial(
        number=-1,  # it is given one
        trial_id=-1,
        state=state,
        value=summary.best if state is TrialState.COMPLETE else None,
        datetime_start=datetime.fromtimestamp(trial.begun or trial.ended or 0.0),  # noqa: DTZ006 - Optuna's times are local and naive
        datetime_complete=datetime.fromtimestamp(trial.ended or 0.0),  # noqa: DTZ006 - likewise
        params=trial.settings,
        distributions={path: ranges[path] for path in trial.settings},
        user_attrs=_attributes(trial, family),
        system_attrs={},
        intermediate_values={
            report.epoch: report.value
            for report in trial.reports.values()
            if report.value is not None
        },
    )


def _attributes(trial: TrialRecord, family: Iterable[TrialRecord]) -> dict[str, Any]:
    """What Optuna has no name for."""
    summary = trial.summary
    finalists = [other for other in family if other.summary.finalist_of == summary.trial]
    told = {
        "trial": summary.trial,
        "state": str(summary.state),
        "seed": summary.seed,
        "best": summary.best,
        "best_epoch": summary.best_epoch,
        "parameters": summary.parameters,
        "train_seconds": summary.train_seconds,
        "cause": summary.cause,
        "copied_from": summary.copied_from,
        "finalist_tests": [each.tests for each in finalists if each.tests] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _ranges(trials: Sequence[TrialRecord]) -> dict[str, BaseDistribution]:
    """By setting, the range of the values tried."""
    tried: dict[str, list[bool | str | float]] = {}
    for trial in trials:
        for path, value in trial.settings.items():
            tried.setdefault(path, []).append(value)
    return {path: _range(values) for path, values in tried.items()}


def _range(values: Sequence[bool | str | float]) -> BaseDistribution:
    numbers = [value for value in values if not isinstance(value, bool | str)]
    if len(numbers) < len(values):
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = min(numbers), max(numbers)
    logarithmic = low > 0 and high / low >= LOG_RATIO
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(int(low), int(high), log=logarithmic)
    return FloatDistribution(low, high, log=logarithmic)
