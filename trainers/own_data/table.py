"""The rows of a user's tables, column by column, and where each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spaces import did_you_mean
from trainers.own_data.batches import batches, column_names
from trainers.own_data.columns import Column, kinds_in
from trainers.own_data.description import OwnData

DATA, VALID, TEST = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and what it was given as: `DATA`, `VALID` or `TEST`."""

    path: Path
    part: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows stand that were read from several files, one after the other.

    Attributes:
        sources: The files.
        ends: (files,) rows up to the end of each.
    """

    sources: tuple[Source, ...]
    ends: np.ndarray

    def __len__(self) -> int:
        return int(self.ends[-1])

    def place(self, row: int) -> str:
        """Such as `sales.csv, row 17`; rows count from 1, without the line of names."""
        file = int(np.searchsorted(self.ends, row, side="right"))
        first = int(self.ends[file - 1]) if file else 0
        return f"{self.sources[file].path}, row {row - first + 1}"

    def counts(self, what: str = "rows") -> list[str]:
        """Such as `sales.csv: 2,190 rows`, for each file."""
        counts = np.diff(self.ends, prepend=0).tolist()
        return [
            f"{source.path}: {count:,} {what}"
            for source, count in zip(self.sources, counts, strict=True)
        ]

    @property
    def parts(self) -> np.ndarray:
        """(rows,) what the file of each row was given as."""
        counts = np.diff(self.ends, prepend=0)
        return np.repeat([source.part for source in self.sources], counts)


def sources_of(own: OwnData) -> list[Source]:
    """All files, those to train on first."""
    given = (own.data, own.valid, own.test)
    return [Source(Path(path), part) for part, paths in enumerate(given) for path in paths]


def survey(path: Path) -> dict[str, str]:
    """The columns of a table and what each seems to hold: `number`, `time` or `word`.

    Raises:
        ValueError: The file has no rows, or is not what its name says.
        OSError: It cannot be read.
    """
    column_names(path)
    first = next((batch for batch in batches(path) if batch.num_rows), None)
    if first is None:
        raise ValueError(f"{path} must have rows below the names of its columns, got none")
    return kinds_in(first)


def read_rows(sources: Sequence[Source], columns: Sequence[Column]) -> Rows:
    """Read all files, once and batch by batch, into `columns`.

    Raises:
        ValueError: A file lacks a column, or a row holds something else than it should.
        OSError: A file cannot be read.
    """
    wanted = list(dict.fromkeys(column.name for column in columns))
    ends: list[int] = []
    for source in sources:
        names = column_names(source.path)
        for name in wanted:
            if name not in names:
                raise ValueError(
                    f"{source.path} has no column {name!r}{did_you_mean(name, set(names))}"
                )
        rows = _read_file(source.path, wanted, columns)
        if not rows:
            raise ValueError(
                f"{source.path} must have rows below the names of its columns, got none"
            )
        ends.append(rows + (ends[-1] if ends else 0))
    return Rows(tuple(sources), np.array(ends))


def _read_file(path: Path, wanted: list[str], columns: Sequence[Column]) -> int:
    done = 0
    for batch in batches(path, wanted):
        first = done

        def place(row: int, first: int = first) -> str:
            return f"{path}, row {first + row + 1}"

        for column in columns:
            column.add(batch.column(column.name), place)
        done += batch.num_rows
    return done
