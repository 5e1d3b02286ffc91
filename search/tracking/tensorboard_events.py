"""A study as event files of TensorBoard: a run for each trial, with its settings."""

from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from search.tracking.records import StudyRecord, TrialRecord


def write(study: StudyRecord, target: Path) -> str:
    """Write `target/<family>/trial-<number>/`, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        for number, trial in study.trials.items():
            kind = "finalist" if trial.summary.finalist_of is not None else "trial"
            family = trial.summary.family.replace("/", "_")  # a folder, not a path
            _write_trial(trial, draft / family / f"{kind}-{number:05d}")
        draft.mkdir(exist_ok=True)
        draft.rename(target)
    finally:
        rmtree(draft, ignore_errors=True)
    return f"{len(study.trials):,} runs; look at them with: tensorboard --logdir {target}"


def _write_trial(trial: TrialRecord, folder: Path) -> None:
    """Curves at their epochs and times, and what they came to beside the settings."""
    summary = trial.summary
    with SummaryWriter(str(folder)) as writer:
        for report in trial.reports.values():
            for name, value in report.values.items():
                writer.add_scalar(name, value, report.epoch, walltime=report.time)
        for name, value in trial.tests.items():
            writer.add_scalar(f"test/{name}", value, summary.best_epoch, walltime=trial.ended)
        reached = {} if summary.best is None else {"best": summary.best}
        for part in hparams(trial.settings, reached):
            writer.file_writer.add_summary(part)
        for name, value in reached.items():
            writer.add_scalar(name, value, summary.best_epoch, walltime=trial.ended)
