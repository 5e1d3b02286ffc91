"""Some rows of a leaderboard: of certain families, and those for which a condition holds."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import pandas as pd

from search.results.leaderboard import Leaderboard, View
from search.results.summary import StudySummary
from search.results.tables import Block, Row
from spaces import did_you_mean

FAMILY_COLUMNS = ("family", "better", "worse")
NUMBERS = (int, float)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are wanted; ranks and ties stay those among all rows.

    Args:
        families: A row is about one of these; none means any.
        where: A condition on the columns, such as `parameters < 1e6 and state == "complete"`;
            where a row has no value in a column, only `!=` holds.
    """

    families: Sequence[str] = ()
    where: str | None = None

    def of(self, board: Leaderboard, view: View) -> View:
        """The view with the wanted rows only.

        Raises:
            ValueError: No row of the view is about one of the families, or the condition cannot be
                read.
        """
        rows, columns = board.rows(view)
        self._check_families(rows)
        self._kept(rows, columns)

        def some_rows(summary: StudySummary) -> list[Row]:
            found = view.rows(summary)
            return list(compress(found, self._kept(found, columns)))

        def block(summary: StudySummary) -> Block | None:
            whole = view.block(summary)
            if whole is None:
                return None
            kept = self._kept(view.rows(summary), columns)
            return replace(whole, cells=list(compress(whole.cells, kept))) if any(kept) else None

        return View(view.columns, some_rows, block)

    def _check_families(self, rows: Iterable[Row]) -> None:
        known = {family for row in rows for family in _families(row)}
        for family in self.families:
            if family not in known:
                raise ValueError(f"no row is about {family!r}{did_you_mean(family, known)}")

    def _kept(self, rows: Sequence[Row], columns: Mapping[str, type | None]) -> list[bool]:
        """For every row, whether it is wanted."""
        named = [not self.families or bool(_families(row) & {*self.families}) for row in rows]
        if self.where is None:
            return named
        held = _held(self.where, _frame(rows, columns))
        return [one and other for one, other in zip(named, held, strict=True)]


def _families(row: Row) -> set[str]:
    return {str(row[column]) for column in FAMILY_COLUMNS if column in row}


def _frame(rows: Sequence[Row], columns: Mapping[str, type | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
    for name, kind in columns.items():
        if kind in NUMBERS or _is_numeric(frame[name]):
            frame[name] = pd.to_numeric(frame[name])
    return frame


def _is_numeric(values: "pd.Series[Any]") -> bool:
    """Whether a column of no stated type holds nothing but numbers."""
    return all(type(value) in NUMBERS for value in values.dropna())


def _held(condition: str, frame: pd.DataFrame) -> list[bool]:
    names = sorted(frame.columns, key=len, reverse=True)
    dotted = "|".join(re.escape(name) for name in names if "." in name)
    quoted = re.sub(rf"(?<![\w`.])({dotted})(?![\w`])", r"`\1`", condition) if dotted else condition
    try:
        held = frame.eval(quoted, engine="python")
    except Exception as error:
        raise _refusal(condition, frame, _first_line(error)) from None
    if not isinstance(held, pd.Series) or held.dtype != bool:
        raise _refusal(condition, frame, "that is neither true nor false")
    return [bool(value) for value in held]


def _refusal(condition: str, frame: pd.DataFrame, why: str) -> ValueError:
    columns = ", ".join(name for name in frame.columns if "." not in name)
    return ValueError(
        f"`--where` must be a condition on columns, such as 'parameters < 1e6', "
        f"got {condition!r}: {why}; the columns are {columns} and, by trial, config.*"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or "it cannot be read"
