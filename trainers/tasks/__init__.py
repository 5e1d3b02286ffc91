"""Tasks: what is asked of a model, the loss it trains on and the metrics that judge it."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from spaces import did_you_mean
from trainers.tasks.anomaly_detection import AnomalyDetection
from trainers.tasks.captioning import Captioning
from trainers.tasks.classes import Classification, ClassTask, EntityTagging, Tagging
from trainers.tasks.ctc import CTC
from trainers.tasks.forecasting import Forecasting
from trainers.tasks.frames import MultilabelFrames
from trainers.tasks.language_modelling import LanguageModelling
from trainers.tasks.regression import Regression
from trainers.tasks.task import Metric, Task
from trainers.tasks.transduction import Transduction
from trainers.tasks.translation import Translation

__all__ = [
    "CTC",
    "TASKS",
    "AnomalyDetection",
    "Captioning",
    "ClassTask",
    "Classification",
    "EntityTagging",
    "Forecasting",
    "LanguageModelling",
    "Metric",
    "MultilabelFrames",
    "Regression",
    "Tagging",
    "Task",
    "Transduction",
    "Translation",
    "task_from_json",
]

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Classification,
        Tagging,
        EntityTagging,
        Regression,
        MultilabelFrames,
        Forecasting,
        LanguageModelling,
        AnomalyDetection,
        CTC,
        Translation,
        Captioning,
    )
}


def task_from_json(tree: Mapping[str, Any]) -> Task:
    """The task that `Task.to_json` wrote.

    Raises:
        ValueError: There is no such task, or its fields are others.
    """
    settings = dict(tree)
    name = settings.pop("name", None)
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}{did_you_mean(str(name), set(TASKS))}")
    kind = TASKS[name]
    known = {field.name for field in fields(kind)}
    for field in settings:
        if field not in known:
            raise ValueError(f"task {name!r} has no field {field!r}{did_you_mean(field, known)}")
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    for field in sorted(needed - set(settings)):
        raise ValueError(f"task {name!r} needs the field {field!r}")
    return kind(**settings)
