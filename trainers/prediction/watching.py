"""Streams watched by a trained detector: the alarm at every step, and where it is raised."""

from pathlib import Path

import numpy as np
import torch

from trainers.benchmarks.nab import first_steps
from trainers.benchmarks.scaling import Scaler
from trainers.data.batching import StreamSplit
from trainers.data.dataset import Sequences, Split
from trainers.data.streams import passages_of
from trainers.own_data.anomalies import own_scaler, tamed
from trainers.own_data.columns import Numbers, Words
from trainers.own_data.long_tables import LongColumns, stacked
from trainers.own_data.panel import make_panel
from trainers.own_data.steps import Step
from trainers.own_data.times import Times
from trainers.prediction.answers import Columns, Outputs, Posed, joined, step_keys
from trainers.prediction.asked import Asked, Kept
from trainers.prediction.own_files import read_columns
from trainers.tasks import AnomalyDetection, task_from_json
from trainers.tasks.anomalies import alarm
from trainers.training.evaluation import measure_split


def read_streams(path: Path, kept: Kept) -> Asked:
    """Every series of a file, on the scale of its train part, or of its first steps if it is new.

    Raises:
        ValueError: Something is wrong with a column or a row, or a series has a single step.
        OSError: The file cannot be read.
    """
    names, step = kept["columns"], Step(**kept["step"])
    columns = LongColumns(
        Times(names["time"], are_dates=step.unit != "number"),
        None if names["id"] is None else Words(names["id"]),
        [Numbers(name) for name in names["target"]],
        [],
        [],
    )
    panel = make_panel(
        read_columns(path, columns.everything), columns.time, columns.series, step=step
    )
    values = stacked(columns.targets, panel.order)
    begins = np.flatnonzero(~panel.follows).tolist()
    pieces = list(map(slice, begins, [*begins[1:], len(values)]))
    called = [panel.names[int(panel.codes[rows.start])] for rows in pieces]
    for rows in pieces:
        if rows.stop - rows.start < 2:
            raise ValueError(
                f"{panel.place(rows.start)}: a series must have at least 2 steps, got a single one"
            )
    scaled = [
        tamed(values[rows], _scaler(kept, name, values[rows]))
        for rows, name in zip(pieces, called, strict=True)
    ]
    return Asked(
        sequences=Sequences.from_list(scaled),
        keys={} if columns.series is None else {columns.series.name: called},
        steps={
            columns.time.name: [[panel.show(row) for row in _numbers(rows)] for rows in pieces],
            **{
                column.name: [values[rows, place].tolist() for rows in pieces]
                for place, column in enumerate(columns.targets)
            },
        },
    )


def watched(posed: Posed) -> Outputs:
    """(steps,) the alarm at every step of each stream; NaN at the first, which nobody foretold."""
    lengths = posed.batch.mask.sum(1).tolist()
    task = task_from_json(posed.kept["task"])
    assert isinstance(task, AnomalyDetection)
    answers = []
    for stream, length in zip(posed.batch.inputs.numpy(), lengths, strict=True):
        split = StreamSplit(_unmarked(stream[:length], task), task, torch.device("cpu"))
        steps = measure_split(posed.model, split, task, final=True)["steps"]
        errors = steps[..., 0][steps[..., 3] >= 0]
        answers.append(np.append(np.nan, alarm(errors.astype(np.float64))))
    return answers


def alarms(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """The alarm at each step, and 1 where it reaches the threshold of the F1, else 0.

    Raises:
        ValueError: The model came without thresholds.
    """
    thresholds = kept["task"].get("thresholds")
    if thresholds is None:
        raise ValueError("the model must be exported again: it was without its thresholds")
    fired = [
        (told >= thresholds[0]) & (np.arange(len(told)) >= first_steps(len(told)))
        for told in outputs
    ]
    return joined(
        step_keys(outputs, asked),
        {
            "alarm": [None if np.isnan(one) else float(one) for one in np.concatenate(outputs)],
            "anomaly": np.concatenate(fired).astype(int).tolist(),
        },
    )


def _scaler(kept: Kept, name: str, values: np.ndarray) -> Scaler:
    known = kept["series"].get(name)
    return own_scaler(values) if known is None else Scaler.from_json(known)


def _numbers(rows: slice) -> range:
    return range(rows.start, rows.stop)


def _unmarked(values: np.ndarray, task: AnomalyDetection) -> Split:
    """Passages of one stream of which nothing is known; see `AnomalyDetection`."""
    about = np.tile(np.array([0, 1, 0], dtype=np.float32), (len(values), 1))
    split = passages_of([values], task.passage)
    targets = np.concatenate([values, about], axis=1)
    return Split(split.inputs, Sequences(targets, split.targets.starts, split.targets.lengths))
