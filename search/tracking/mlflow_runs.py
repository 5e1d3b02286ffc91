"""A study as runs of MLflow, in a database file: an experiment with a run for each trial."""

import logging
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from search.tracking.database import address
from search.tracking.records import StudyRecord, TrialRecord
from search.trial import State

STATUS = {State.complete: "FINISHED", State.failed: "FAILED", State.infeasible: "FAILED"}
ENDED_EARLY = "KILLED"
MOST_AT_ONCE = 1000  # metrics that MLflow takes in one call
LONGEST_PARAM = 6000  # characters


def write(study: StudyRecord, target: Path) -> str:
    """Write an SQLite file.

    Raises:
        OSError: It cannot be written.
    """
    draft = target.with_name(f".{target.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch()  # says why, where it cannot be written
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table it makes
    try:
        client = MlflowClient(tracking_uri=address(draft))
        artifacts = target.resolve().with_name(f"{target.stem}-artifacts")
        experiment = client.create_experiment(study.summary.study, artifacts.as_uri())
        for number, trial in study.trials.items():
            _write_trial(client, experiment, number, trial)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    look = f"mlflow ui --backend-store-uri {address(target)}"
    return f"{len(study.trials):,} runs; look at them with: {look}"


def _write_trial(client: MlflowClient, experiment: str, number: int, trial: TrialRecord) -> None:
    """One run: settings as parameters, curves as metrics, the rest as tags."""
    summary = trial.summary
    begun = _milliseconds(trial.begun)
    run = client.create_run(experiment, start_time=begun, run_name=f"trial {number}")
    metrics = [
        Metric(name, value, _milliseconds(report.time), report.epoch)
        for report in trial.reports.values()
        for name, value in report.values.items()
    ]
    at = _milliseconds(trial.ended)
    metrics += [Metric(f"test/{name}", value, at, 0) for name, value in trial.tests.items()]
    if summary.best is not None:
        metrics.append(Metric("best", summary.best, at, summary.best_epoch or 0))
    params = [Param(path, str(value)[:LONGEST_PARAM]) for path, value in trial.settings.items()]
    told = {
        "family": summary.family,
        "state": summary.state,
        "seed": summary.seed,
        "finalist_of": summary.finalist_of,
        "cause": summary.cause,
    }
    tags = [RunTag(name, str(value)) for name, value in told.items() if value is not None]
    client.log_batch(run.info.run_id, params=params, tags=tags)
    for first in range(0, len(metrics), MOST_AT_ONCE):
        client.log_batch(run.info.run_id, metrics=metrics[first : first + MOST_AT_ONCE])
    if summary.state != State.running:
        status = STATUS.get(State(summary.state), ENDED_EARLY)
        client.set_terminated(run.info.run_id, status, end_time=at)


def _milliseconds(seconds: float | None) -> int:
    return round(1000 * (seconds or 0.0))
