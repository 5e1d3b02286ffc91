"""Series in long format: the rows of each series in one piece, in the order of their times."""

from dataclasses import dataclass

import numpy as np

from trainers.own_data.columns import Words
from trainers.own_data.steps import Step, infer_step
from trainers.own_data.table import Rows
from trainers.own_data.times import Times


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows sorted by series; within a series they are as they came, and their times grow.

    Attributes:
        rows: Where they stand.
        order: (rows,) the place in the files of each row of the panel.
        codes: (rows,) the number of its series.
        parts: (rows,) what its file was given as.
        times: (rows,)
        step: What lies between two times.
        names: The series by their numbers.
        column: The times as they were read.
    """

    rows: Rows
    order: np.ndarray
    codes: np.ndarray
    parts: np.ndarray
    times: np.ndarray
    step: Step
    names: list[str]
    column: Times

    def place(self, row: int) -> str:
        """Where a row of the panel stands."""
        return self.rows.place(int(self.order[row]))

    def show(self, row: int) -> str:
        """The time of a row."""
        return self.column.show(int(self.times[row]))

    def series(self, row: int) -> str:
        """The series of a row, in words; nothing where there is but one."""
        return f" of series {self.names[self.codes[row]]!r}" if len(self.names) > 1 else ""

    @property
    def follows(self) -> np.ndarray:
        """(rows,) bool: the row before is of the same series, one step earlier."""
        follows = np.zeros(len(self.codes), dtype=bool)
        counts = self.step.counts(self.times)
        follows[1:] = (counts == 1) & (self.codes[1:] == self.codes[:-1])
        return follows


def make_panel(rows: Rows, time: Times, series: Words | None, *, step: Step | None = None) -> Panel:
    """Sort rows by series, and check that times grow in even steps in each file of a series.

    Args:
        step: What must lie between two times; that between most of them if None.

    Raises:
        ValueError: Times of a series do not grow, come twice, or leave something out.
    """
    codes = np.zeros(len(rows), dtype=np.int64) if series is None else series.codes
    order = np.argsort(codes, kind="stable")
    codes, parts, times = codes[order], rows.parts[order], time.values[order]
    begins = np.ones(len(codes), dtype=bool)
    begins[1:] = (codes[1:] != codes[:-1]) | (parts[1:] != parts[:-1])
    names = ["all"] if series is None else series.words
    has_id = series is not None
    early = Panel(rows, order, codes, parts, times, Step("number", 1), names, time)
    _check_growth(early, begins, has_id)
    step = step or infer_step(times, begins, are_dates=bool(time.are_dates))
    panel = Panel(rows, order, codes, parts, times, step, names, time)
    _check_steps(panel, begins)
    return panel


def _check_growth(panel: Panel, begins: np.ndarray, has_id: bool) -> None:
    grows = np.ones(len(panel.times), dtype=bool)
    grows[1:] = panel.times[1:] > panel.times[:-1]
    wrong = np.flatnonzero(~grows & ~begins)
    if not len(wrong):
        return
    row = int(wrong[0])
    start = int(np.flatnonzero(begins[: row + 1])[-1])
    same = start + np.flatnonzero(panel.times[start:row] == panel.times[row])
    name, series = panel.column.name, panel.series(row)
    if len(same):
        hint = (
            "keep one of them" if has_id else "keep one of them, or name the series' column, `id`"
        )
        raise ValueError(
            f"{panel.place(row)}: column {name!r}{series} must have each time once, got "
            f"{panel.show(row)} also in {panel.place(int(same[0])).rpartition(', ')[2]}; {hint}"
        )
    hint = "" if has_id else ", or name the series' column, `id`"
    raise ValueError(
        f"{panel.place(row)}: column {name!r}{series} must grow from row to row, got "
        f"{panel.show(row)} after {panel.show(row - 1)}; sort the file by it{hint}"
    )


def _check_steps(panel: Panel, begins: np.ndarray) -> None:
    wrong = np.flatnonzero(~panel.follows & ~begins)
    if not len(wrong):
        return
    row = int(wrong[0])
    expected = panel.column.show(panel.step.following(int(panel.times[row - 1])))
    raise ValueError(
        f"{panel.place(row)}: column {panel.column.name!r}{panel.series(row)} must go on with "
        f"{expected}, {panel.step.words} after the row before, got {panel.show(row)}; add the rows "
        f"that are missing (gaps in all: {len(wrong):,})"
    )
