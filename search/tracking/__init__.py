"""Studies for the tools that people look at trials with, made from the log afterwards.

Each module here writes for one tool, and is loaded only when that tool is asked for.
"""

from pathlib import Path

from search.store.copies import origin_of
from search.terminal.extras import load_extra
from search.tracking.records import read_records

MODULES: dict[str, str] = {
    "tensorboard": "search.tracking.tensorboard_events",
    "optuna": "search.tracking.optuna_storage",
    "mlflow": "search.tracking.mlflow_runs",
}
TARGETS: dict[str, str] = {
    "tensorboard": "tensorboard",
    "optuna": "optuna.db",
    "mlflow": "mlflow.db",
}


def track(directory: Path, tracker: str, target: Path | None = None) -> str:
    """Write the study in `directory` for a tool; what to do with it now, in a sentence.

    Args:
        target: A new file or folder; in the study's folder if None.

    Raises:
        FileExistsError: `target` is there already.
        ValueError: The tool is not installed, or the log is corrupt.
        OSError: There is no study, or `target` cannot be written.
    """
    if target is None and origin_of(directory) is not None:
        raise ValueError("--to writes files for tools on this machine: say where, with --output")
    target = target or directory / TARGETS[tracker]
    if target.exists():
        raise FileExistsError(
            f"{target} must be new, and is there already: remove it, or name another"
        )
    module = load_extra(MODULES[tracker], "tracking")
    records = read_records(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    words: str = module.write(records, target)
    return words
