"""Rows of a table as sequences: those of one name together, in the order of their times."""

from dataclasses import dataclass

import numpy as np

from trainers.own_data.columns import Numbers, Words
from trainers.own_data.table import Rows
from trainers.own_data.times import Times


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows sorted by sequence.

    Attributes:
        order: (rows,) their places in the files.
        begins: (sequences,) the first of each, in that order.
        lengths: (sequences,)
        column: What tells the sequences apart.
    """

    rows: Rows
    order: np.ndarray
    begins: np.ndarray
    lengths: np.ndarray
    column: Words

    @property
    def first_rows(self) -> np.ndarray:
        """(sequences,) the place in the files of the first row of each."""
        rows: np.ndarray = self.order[self.begins]
        return rows

    def name(self, sequence: int) -> str:
        """What a sequence is called in the files, in quotes."""
        return self.column.show(int(self.first_rows[sequence]))

    def check_same(self, column: Words | Numbers) -> None:
        """Refuse a column that changes within a sequence.

        Raises:
            ValueError: It does.
        """
        values = column.codes if isinstance(column, Words) else column.values
        first = np.repeat(self.first_rows, self.lengths)
        wrong = np.flatnonzero(values[self.order] != values[first])
        if len(wrong):
            row, begin = int(self.order[wrong[0]]), int(first[wrong[0]])
            sequence = int(np.searchsorted(self.begins, wrong[0], side="right")) - 1
            raise ValueError(
                f"{self.rows.place(row)}: column {column.name!r} must be the same in all rows of "
                f"sequence {self.name(sequence)}, got {column.show(row)}, and "
                f"{column.show(begin)} in {self.rows.place(begin).rpartition(', ')[2]}"
            )

    def check_several_rows(self) -> None:
        """Refuse a column that tells not sequences apart but rows.

        Raises:
            ValueError: Every row is a sequence of its own.
        """
        if self.lengths.max() == 1:
            raise ValueError(
                f"`id` must name the column that tells sequences apart, but in "
                f"{self.column.name!r} every row has another; for one text per row name the "
                f"`text` column instead"
            )

    def check_growth(self, time: Times) -> None:
        """Refuse times that do not grow within a sequence.

        Raises:
            ValueError: They do not.
        """
        times = time.values[self.order]
        grows = np.ones(len(times), dtype=bool)
        grows[1:] = times[1:] > times[:-1]
        grows[self.begins] = True
        wrong = np.flatnonzero(~grows)
        if len(wrong):
            row = int(wrong[0])
            sequence = int(np.searchsorted(self.begins, row, side="right")) - 1
            raise ValueError(
                f"{self.rows.place(int(self.order[row]))}: column {time.name!r} must grow from row "
                f"to row of sequence {self.name(sequence)}, got {time.show(int(times[row]))} "
                f"after {time.show(int(times[row - 1]))}; sort the file by it"
            )


def make_runs(rows: Rows, column: Words) -> Runs:
    """The rows of each sequence together; in files of two splits they are two sequences."""
    sequences = rows.parts * (int(column.codes.max()) + 1) + column.codes
    order = np.argsort(sequences, kind="stable")
    changes = np.flatnonzero(np.diff(sequences[order], prepend=-1))
    lengths = np.diff(changes, append=len(order))
    return Runs(rows, order, changes, lengths, column)
