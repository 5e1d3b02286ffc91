"""Series to go on with: the last look-back of each, and what is known of the steps asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.windows import Series, Yardstick
from trainers.data.dataset import Sequences
from trainers.own_data.columns import Numbers, PartialNumbers, Words, refuse_missing
from trainers.own_data.long_tables import LongColumns, stacked
from trainers.own_data.panel import Panel, make_panel
from trainers.own_data.steps import Step
from trainers.own_data.times import Times
from trainers.prediction.asked import Asked, Kept
from trainers.prediction.own_files import read_columns


@dataclass(frozen=True, slots=True)
class _File:
    """A long table as it was read.

    Attributes:
        targets: (rows, targets), NaN where there are none as yet.
        past: (rows, covariates), the same.
        known: (rows, future covariates).
    """

    path: Path
    columns: LongColumns
    panel: Panel
    targets: np.ndarray
    past: np.ndarray
    known: np.ndarray


def read_series(path: Path, kept: Kept) -> Asked:
    """The last look-back of every series.

    Where covariates are known ahead, their values in the steps asked for stand in rows below the
    last ones, in which targets are empty.

    Raises:
        ValueError: Something is wrong with a column or a row, or a series is too short or new.
        OSError: The file cannot be read.
    """
    file = _read(path, kept)
    horizon = kept["task"]["horizon"]
    begins = np.flatnonzero(~file.panel.follows)
    windows, names, times, scalers = [], [], [], []
    for rows in map(slice, begins.tolist(), [*begins[1:].tolist(), len(file.targets)]):
        name = file.panel.names[int(file.panel.codes[rows.start])]
        yardstick = _yardstick(path, name, kept)
        last = _last_value(file, rows)
        _check_length(file, rows, last, kept)
        windows.append(_window(file, last, yardstick, kept))
        after = file.panel.step.after(file.panel.times[rows.start : last], horizon)
        times.append([file.panel.column.show(time) for time in after.tolist()])
        names.append(name)
        scalers.append(yardstick.scaler)
    return Asked(
        sequences=Sequences.from_list(windows),
        keys={} if file.columns.series is None else {file.columns.series.name: names},
        steps={file.columns.time.name: times},
        scalers=scalers,
    )


def _read(path: Path, kept: Kept) -> _File:
    names: dict[str, Any] = kept["columns"]
    step = Step(**kept["step"])
    numbers = PartialNumbers if names["future_covariates"] else Numbers
    columns = LongColumns(
        Times(names["time"], are_dates=step.unit != "number"),
        names["id"] and Words(names["id"]),
        [numbers(name) for name in names["target"]],
        [numbers(name) for name in names["covariates"]],
        [Numbers(name) for name in names["future_covariates"]],
    )
    rows = read_columns(path, columns.everything)
    panel = make_panel(rows, columns.time, columns.series, step=step)
    parts = (columns.targets, columns.past, columns.known)
    return _File(path, columns, panel, *(stacked(part, panel.order) for part in parts))


def _yardstick(path: Path, name: str, kept: Kept) -> Yardstick:
    if name not in kept["series"]:
        raise ValueError(
            f"{path}: every series must be one that the model was trained on, for its scale is of "
            f"its train part, got {name!r}"
        )
    entry = kept["series"][name]
    return Yardstick(Scaler.from_json(entry), np.array(entry["naive_error"]))


def _last_value(file: _File, rows: slice) -> int:
    """The row after the last one with targets; until there nothing may be missing."""
    given = np.flatnonzero(~np.isnan(file.targets[rows]).all(axis=1))
    last: int = rows.start + (int(given[-1]) + 1 if len(given) else 0)
    for values, columns in (
        (file.targets, file.columns.targets),
        (file.past, file.columns.past),
    ):
        missing = np.argwhere(np.isnan(values[rows.start : last]))
        if len(missing):
            row, column = missing[0].tolist()
            refuse_missing(columns[column].name, None, file.panel.place(rows.start + row))
    return last


def _check_length(file: _File, rows: slice, last: int, kept: Kept) -> None:
    series = file.panel.series(rows.start).removeprefix(" of series") or ""
    look_back, horizon = kept["look_back"], kept["task"]["horizon"]
    if last - rows.start < look_back:
        raise ValueError(
            f"{file.path}: the series{series} must have at least {look_back} steps, the look-back "
            f"that the model was trained with, got {last - rows.start}"
        )
    if file.columns.known and rows.stop - last < horizon:
        names = ", ".join(repr(column.name) for column in file.columns.known)
        raise ValueError(
            f"{file.path}: the series{series} must go on for {horizon} rows after "
            f"{file.panel.show(last - 1)} that tell {names} and leave the target empty, got "
            f"{rows.stop - last}"
        )


def _window(file: _File, last: int, yardstick: Yardstick, kept: Kept) -> np.ndarray:
    """(look_back, size) the inputs before row `last`."""
    look_back, horizon = kept["look_back"], kept["task"]["horizon"]
    rows = slice(last - look_back, last + (horizon if file.columns.known else 0))
    past, known = (
        Scaler.from_json(kept[name]).apply(values[rows])
        for name, values in (
            ("covariate_scaler", file.past),
            ("future_covariate_scaler", file.known),
        )
    )
    steps = len(known)
    series = Series(file.targets[rows], past, known, steps, steps, yardstick)
    return series.inputs(horizon)[:look_back]
